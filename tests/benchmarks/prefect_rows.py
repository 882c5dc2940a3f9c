"""What a Prefect server keeps: how much it is, and how old."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

#: Longer than notify has its server keep flow runs; Prefect takes nothing shorter than an hour.
AGED = timedelta(days=15)
TABLES = ("flow_run", "task_run", "events", "log")
_ENDED = "state_type IN ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED')"
_AGE_SQLITE = f"""
UPDATE flow_run SET end_time = strftime('%Y-%m-%d %H:%M:%f000', end_time, '-{AGED.days} days')
WHERE {_ENDED} AND end_time BETWEEN ? AND ?"""
_AGE_POSTGRESQL = f"""
UPDATE flow_run SET end_time = end_time - interval '{AGED.days} days'
WHERE {_ENDED.replace("state_type", "state_type::text")} AND end_time BETWEEN %s AND %s"""


@dataclass(frozen=True)
class Kept:
    """Bytes in use, and rows by table."""

    used: int
    rows: dict[str, int]


def used(url: str) -> int:
    """Bytes of a database that hold something: on SQLite without pages that are free to be used again."""
    if (file := _file(url)) is None:
        return int(_all(url, "SELECT pg_database_size(current_database())")[0][0])
    return _used_pages(file)


def kept(url: str) -> Kept:
    """How much a Prefect server's database holds."""
    rows = {table: int(_all(url, f"SELECT count(*) FROM {table}")[0][0]) for table in TABLES}
    return Kept(used(url), rows)


def age(url: str, keep: float) -> None:
    """Let flow runs that ended longer than `keep` seconds ago have ended two weeks ago: the vacuum's to take.

    So a quarter of an hour shows what two weeks would.
    """
    now = datetime.now(UTC)
    since, until = now - timedelta(days=1), now - timedelta(seconds=keep)
    if _file(url) is None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(_AGE_POSTGRESQL.encode(), [since, until])
        return
    with closing(_sqlite(url)) as connection, connection:
        connection.execute(_AGE_SQLITE, [f"{one:%Y-%m-%d %H:%M:%S.%f}" for one in (since, until)])


def _all(url: str, query: str) -> Sequence[tuple[Any, ...]]:
    if _file(url) is None:
        with psycopg.connect(url, autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()
    with closing(_sqlite(url)) as connection:
        return connection.execute(query).fetchall()


def _used_pages(file: Path) -> int:
    with closing(sqlite3.connect(file, timeout=30)) as connection:
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
    return int((pages - free) * size)


def _sqlite(url: str) -> sqlite3.Connection:
    file = _file(url)
    assert file is not None
    return sqlite3.connect(file, timeout=30)


def _file(url: str) -> Path | None:
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None
