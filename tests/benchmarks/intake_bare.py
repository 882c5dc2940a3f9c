"""What intake is compared with: the driver alone, writing the same rows into a table with the same primary key."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson
import psycopg

from notify.model import new_id

COLUMNS = ("environment", "uid", "kind", "name", "id", "ts", "received_at", "data", "verdict")
_POSTGRES_TABLE = """
CREATE TABLE bare (environment varchar(50), uid uuid, kind varchar(10) NOT NULL, name text NOT NULL, id text,
    ts timestamptz NOT NULL, received_at timestamptz NOT NULL, data jsonb NOT NULL, v text, "user" jsonb,
    subject text, verdict varchar(10) NOT NULL, matched_at timestamptz, PRIMARY KEY (environment, uid))"""
_SQLITE_TABLE = """
CREATE TABLE bare (environment varchar(50), uid varchar(36), kind varchar(10) NOT NULL, name text NOT NULL, id text,
    ts varchar(27) NOT NULL, received_at varchar(27) NOT NULL, data json NOT NULL, v text, "user" json,
    subject text, verdict varchar(10) NOT NULL, matched_at varchar(27), PRIMARY KEY (environment, uid))"""


class Bare(Protocol):
    """One connection and one table."""

    def insert(self, kind: str, name: str, data: dict[str, Any]) -> None:
        """One row and its commit."""
        ...

    def bulk(self, kind: str, name: str, batch: Sequence[dict[str, Any]]) -> None:
        """Many rows and one commit, the fastest way there is."""
        ...


class BarePostgres:
    """INSERT, and COPY."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url)
        self.connection.execute(_POSTGRES_TABLE.encode())
        self.connection.commit()
        places = ", ".join(["%s"] * len(COLUMNS))
        self._insert = f"INSERT INTO bare ({', '.join(COLUMNS)}) VALUES ({places})".encode()
        self._copy = f"COPY bare ({', '.join(COLUMNS)}) FROM STDIN".encode()

    def insert(self, kind: str, name: str, data: dict[str, Any]) -> None:
        self.connection.execute(self._insert, _row(kind, name, data))
        self.connection.commit()

    def bulk(self, kind: str, name: str, batch: Sequence[dict[str, Any]]) -> None:
        with self.connection.cursor() as cursor, cursor.copy(self._copy) as copy:
            for data in batch:
                copy.write_row(_row(kind, name, data))
        self.connection.commit()


class BareSqlite:
    """INSERT, and executemany, as durable as notify's own connection."""

    def __init__(self, file: str) -> None:
        self.connection = sqlite3.connect(file, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = FULL")
        self.connection.execute(_SQLITE_TABLE)
        places = ", ".join("?" * len(COLUMNS))
        self._insert = f"INSERT INTO bare ({', '.join(COLUMNS)}) VALUES ({places})"

    def insert(self, kind: str, name: str, data: dict[str, Any]) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.execute(self._insert, _texts(kind, name, data))
        self.connection.execute("COMMIT")

    def bulk(self, kind: str, name: str, batch: Sequence[dict[str, Any]]) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.executemany(self._insert, (_texts(kind, name, data) for data in batch))
        self.connection.execute("COMMIT")


def _row(kind: str, name: str, data: dict[str, Any]) -> tuple[Any, ...]:
    now, id_ = datetime.now(UTC), new_id()
    transaction = id_ if kind == "trigger" else None
    return ("default", id_, kind, name, transaction, now, now, orjson.dumps(data).decode(), "accepted")


def _texts(kind: str, name: str, data: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(one.isoformat() if isinstance(one, datetime) else one for one in _row(kind, name, data))
