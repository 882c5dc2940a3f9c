"""Which table an application's connection is to write: the store's outbox, or the one in its own database.

Two names of one server are one database, and two servers with a database of one name are two: so the server itself is
asked, once a database, before anything could fail in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from notify.errors import NotTheStore, OutOfReach, StoreUnavailable
from notify.store.database import Database
from notify.store.tables import notify_outbox, outbox

#: Asks the connection given; answers with a cursor or a result.
Ask = Callable[[Any], Any]

# Which server this is (two never started in the same microsecond), which database, and the schema of a table in it.
_FACTS = """
SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint, d.oid::bigint, n.nspname
FROM pg_database d
LEFT JOIN (pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace) ON c.oid = to_regclass('{table}')
WHERE d.datname = current_database()
"""
_NAMES = ", ".join(f'"{column.name}"' for column in outbox.columns if column.name != "seq")
_WIDTH = len(outbox.columns) - 1


@dataclass(frozen=True)
class Place:
    """A table, as every kind of connection is to be told."""

    schema: str
    table: sa.Table

    @cached_property
    def insert(self) -> sa.Insert:
        """For SQLAlchemy. Inline: asking for the new `seq` would need the right to read."""
        return self.table.to_metadata(sa.MetaData(), schema=self.schema).insert().inline()

    @cached_property
    def qmark(self) -> str:
        """For sqlite3."""
        return self._insert("?")

    @cached_property
    def format(self) -> bytes:
        """For psycopg."""
        return self._insert("%s").encode()

    def _insert(self, mark: str) -> str:
        schema = self.schema.replace('"', '""').replace("%", "%%")
        return f'INSERT INTO "{schema}"."{self.table.name}" ({_NAMES}) VALUES ({", ".join([mark] * _WIDTH)})'


class Places:
    """What was found out so far. Only a place that exists is remembered."""

    def __init__(self, store: Database) -> None:
        self._store = store
        self._known: dict[Hashable, Place] = {}

    # --- SQLite ---------------------------------------------------------------------------------

    def of_sqlite(self, ask: Ask) -> Place:
        """The place of the file this connection opened."""
        file = next(row[2] for row in ask("PRAGMA database_list").fetchall() if row[1] == "main")
        return self._known.get(file) or self._known.setdefault(file, self._look_into_file(file, ask))

    def _look_into_file(self, file: str, ask: Ask) -> Place:
        if not file:
            raise OutOfReach
        if self._store.is_sqlite and Path(file).resolve() == Path(self._store.url.database or "").resolve():
            return Place("main", outbox)
        if not ask("SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND name = 'notify_outbox'").fetchall():
            raise self._missing(file, f"sqlite:///{file}")
        return Place("main", notify_outbox)

    # --- PostgreSQL -----------------------------------------------------------------------------

    def of_postgresql(self, info: Any, ask: Ask) -> Place:
        """The place of the database this connection is to; `info` is what the driver says of it, if it does."""
        if info is None:
            return self._look_into_server(None, ask)[0]
        key = (info.host, getattr(info, "hostaddr", ""), info.port, info.dbname, info.user)
        if key not in self._known:
            place, certain = self._look_into_server(info, ask)
            if not certain:
                return place
            self._known[key] = place
        return self._known[key]

    def _look_into_server(self, info: Any, ask: Ask) -> tuple[Place, bool]:
        """The place, and whether that is certain: a store that is down just now cannot be the one asked."""
        server, database, schema = ask(_FACTS.format(table="notify_outbox")).fetchall()[0]
        ours = self._ours()
        if ours is not None and ours[:2] == (server, database):
            return Place(ours[2], outbox), True
        if schema is None:
            name, url = _named(info)
            raise self._missing(name, url)
        return Place(schema, notify_outbox), ours is not None

    def _ours(self) -> tuple[Any, ...] | None:
        if self._store.is_sqlite:
            return ()
        try:
            with self._store.read() as connection:
                return tuple(connection.exec_driver_sql(_FACTS.format(table="outbox")).fetchall()[0])
        except StoreUnavailable:
            return None

    def _missing(self, theirs: str, url: str) -> NotTheStore:
        return NotTheStore(theirs=theirs, ours=self._store.url.render_as_string(hide_password=True), url=url)


def _named(info: Any) -> tuple[str, str]:
    """The database's name, and its URL as `notify db outbox` takes it."""
    if info is None:
        return "another database", "URL"
    socket = {"host": info.host} if info.host.startswith(("/", "@")) else {}
    host = None if socket else info.host
    url = sa.URL.create("postgresql", info.user, host=host, port=info.port, database=info.dbname, query=socket)
    return info.dbname, url.render_as_string()
