"""The outbox written on a connection of the application's: one INSERT that commits or rolls back with its rows.

Where that connection's database is the store, its `outbox` is written; elsewhere
`notify_outbox`, which a worker copies.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

import orjson
import psycopg
import sqlalchemy as sa
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from sqlalchemy.orm import Session, scoped_session

from notify.errors import InvalidInput, NotInTransaction
from notify.model import Event, Receipt
from notify.store.database import Database
from notify.store.events import outbox_rows
from notify.store.places import Places
from notify.store.types import iso


class Outboxes:
    """What an application's connections lead to. What was found out about a database is not asked again."""

    def __init__(self, store: Database) -> None:
        self._places = Places(store)

    def put(self, connection: Any, environment: str, batch: Sequence[Event]) -> list[Receipt]:
        """Write the batch through the caller's connection, in the caller's transaction; verdicts come later."""
        if isinstance(connection, scoped_session):
            connection = cast("scoped_session[Session]", connection)()
        if isinstance(connection, Session):
            connection = connection.connection()
        if isinstance(connection, sa.Connection):
            self._sqlalchemy(connection, environment, batch)
        elif isinstance(connection, sqlite3.Connection):
            self._sqlite(connection, environment, batch)
        elif isinstance(connection, psycopg.Connection):
            self._psycopg(cast("psycopg.Connection[Any]", connection), environment, batch)
        else:
            raise _unknown(f"a {type(connection).__name__}")
        return [Receipt(event.uid, event.name, event.id, None, event.transaction_id) for event in batch]

    def _sqlalchemy(self, connection: sa.Connection, environment: str, batch: Sequence[Event]) -> None:
        if not connection.in_transaction():
            connection.begin()
        raw: Any = connection.connection.dbapi_connection
        if connection.dialect.name == "sqlite":
            _refuse_sqlite_alone(raw)
            place = self._places.of_sqlite(connection.exec_driver_sql)
        elif connection.dialect.name == "postgresql":
            _refuse_postgresql_alone(raw)
            place = self._places.of_postgresql(getattr(raw, "info", None), connection.exec_driver_sql)
        else:
            raise _unknown(f"a connection to {connection.dialect.name}")
        if batch:
            connection.execute(place.insert, outbox_rows(environment, batch))

    def _sqlite(self, connection: sqlite3.Connection, environment: str, batch: Sequence[Event]) -> None:
        _refuse_sqlite_alone(connection)
        cursor = connection.cursor()
        cursor.row_factory = None
        place = self._places.of_sqlite(cursor.execute)
        cursor.executemany(place.qmark, [_values(environment, event, iso) for event in batch])

    def _psycopg(self, connection: psycopg.Connection[Any], environment: str, batch: Sequence[Event]) -> None:
        _refuse_postgresql_alone(connection)
        # Whatever cursors and rows the application asked its connection for, this one is ours.
        cursor: psycopg.Cursor[tuple[Any, ...]] = psycopg.Cursor(connection, row_factory=tuple_row)
        place = self._places.of_postgresql(connection.info, cursor.execute)
        rows = [_values(environment, event, _as_it_is) for event in batch]
        if len(rows) == 1:
            cursor.execute(place.format, rows[0])
        else:
            cursor.executemany(place.format, rows)


def _refuse_sqlite_alone(raw: Any) -> None:
    """Refuse a connection that commits each statement, however it came to do so: ask the driver's own connection."""
    alone = raw.isolation_level is None or getattr(raw, "autocommit", None) is True
    if alone and not getattr(raw, "in_transaction", False):
        raise NotInTransaction


def _refuse_postgresql_alone(raw: Any) -> None:
    if getattr(raw, "autocommit", False):
        info = getattr(raw, "info", None)
        if getattr(info, "transaction_status", TransactionStatus.IDLE) == TransactionStatus.IDLE:
            raise NotInTransaction


def _unknown(what: str) -> InvalidInput:
    return InvalidInput(
        field="connection",
        problem=f"{what} is none we know",
        remedy="Pass a SQLAlchemy Connection or Session, a psycopg or a sqlite3 connection",
    )


def _values(environment: str, event: Event, instant: Any) -> tuple[Any, ...]:
    """In the order of the columns."""
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
