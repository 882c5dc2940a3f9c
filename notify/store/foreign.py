"""The outbox written on a connection of the application's: one INSERT that commits or rolls back with its rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import orjson
import psycopg
import sqlalchemy as sa
from psycopg.pq import TransactionStatus
from sqlalchemy.orm import Session

from notify.errors import InvalidInput, NotInTransaction, NotTheStore
from notify.model import Event, Receipt
from notify.store.events import put_in_outbox
from notify.store.types import iso

_COLUMNS = ("environment", "uid", "kind", "name", "id", "ts", "received_at", "data", "v", "user", "subject")
_NAMES = ", ".join(f'"{column}"' for column in _COLUMNS)


def put(connection: Any, store: sa.URL, environment: str, batch: Sequence[Event]) -> list[Receipt]:
    """Write the batch into the outbox of the store through the caller's connection, in the caller's transaction."""
    if isinstance(connection, Session):
        return put(connection.connection(), store, environment, batch)
    if isinstance(connection, sa.Connection):
        return _sqlalchemy(connection, store, environment, batch)
    if isinstance(connection, sqlite3.Connection):
        return _sqlite(connection, store, environment, batch)
    if isinstance(connection, psycopg.Connection):
        return _psycopg(cast("psycopg.Connection[Any]", connection), store, environment, batch)
    raise InvalidInput(
        field="connection",
        problem=f"a {type(connection).__name__} is none we know",
        remedy="Pass a SQLAlchemy Connection or Session, a psycopg or a sqlite3 connection",
    )


def _sqlalchemy(connection: sa.Connection, store: sa.URL, environment: str, batch: Sequence[Event]) -> list[Receipt]:
    _same(_place(connection.engine.url), _place(store))
    _begun(connection)
    return put_in_outbox(connection, environment, batch)


def _begun(connection: sa.Connection) -> None:
    """Refuse a connection that commits each statement, however it came to do so: ask the driver's own connection."""
    connection.execute(sa.select(1))
    raw: Any = connection.connection.dbapi_connection
    if isinstance(raw, sqlite3.Connection):
        _in_transaction(raw)
    elif raw.info.transaction_status is TransactionStatus.IDLE:
        raise NotInTransaction


def _in_transaction(connection: sqlite3.Connection) -> None:
    if connection.isolation_level is None and not connection.in_transaction:
        raise NotInTransaction


def _sqlite(connection: sqlite3.Connection, store: sa.URL, environment: str, batch: Sequence[Event]) -> list[Receipt]:
    cursor = connection.cursor()
    cursor.row_factory = None
    file = next(row[2] for row in cursor.execute("PRAGMA database_list") if row[1] == "main")
    _same(str(Path(file).resolve()) if file else "", _place(store))
    _in_transaction(connection)
    marks = ", ".join("?" for _ in _COLUMNS)
    rows = [_values(environment, event, iso) for event in batch]
    connection.executemany(f"INSERT INTO outbox ({_NAMES}) VALUES ({marks})", rows)
    return _receipts(batch)


def _psycopg(
    connection: psycopg.Connection[Any], store: sa.URL, environment: str, batch: Sequence[Event]
) -> list[Receipt]:
    _same(connection.info.dbname, str(store.database))
    if connection.autocommit and connection.info.transaction_status is TransactionStatus.IDLE:
        raise NotInTransaction
    marks = ", ".join("%s" for _ in _COLUMNS)
    rows = [_values(environment, event, _as_it_is) for event in batch]
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO outbox ({_NAMES}) VALUES ({marks})", rows)  # pyright: ignore[reportArgumentType]
    return _receipts(batch)


def _values(environment: str, event: Event, instant: Any) -> tuple[Any, ...]:
    return (
        environment,
        event.uid,
        event.kind.value,
        event.name,
        event.id,
        instant(event.ts),
        instant(event.received_at),
        orjson.dumps(event.data).decode(),
        event.v,
        orjson.dumps(event.user).decode() if event.user is not None else None,
        event.subject,
    )


def _as_it_is(instant: datetime) -> datetime:
    return instant


def _receipts(batch: Sequence[Event]) -> list[Receipt]:
    return [Receipt(event.uid, event.name, event.id, None, event.transaction_id) for event in batch]


def _place(url: sa.URL) -> str:
    database = url.database or ""
    return str(Path(database).resolve()) if database and url.get_backend_name() == "sqlite" else database


def _same(theirs: str, ours: str) -> None:
    if theirs != ours:
        raise NotTheStore(theirs=theirs or "an in-memory database", ours=ours)
