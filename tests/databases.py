"""Databases for tests on a PostgreSQL server: copies of a template, emptied and lent again."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql

from tests.postgres import connect

#: Bytes up to which a database is emptied and used again.
REUSED = 16 * 2**20
#: Nobody else is connected, and nobody is waited for.
_ALONE = b"""
SET lock_timeout = '5s'; SET session_replication_role = replica;
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
#: Every relation, its columns, and what the planner was told of it; functions and triggers.
_SHAPE = b"""
SELECT md5(string_agg(concat_ws(' ', c.relname, c.relkind, c.reltuples, a.attname, a.atttypid, a.attnotnull), ','
                      ORDER BY c.relname, a.attnum)),
       (SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace), (SELECT count(*) FROM pg_trigger)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relnamespace = 'public'::regnamespace
"""
_SIZE = b"SELECT coalesce(sum(pg_relation_size(oid)), 0) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
_TABLES = b"SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"


@dataclass(frozen=True, slots=True)
class _Template:
    """What a fresh copy looks like: its shape, the rows of the tables that have any, and those that have none."""

    shape: Any
    rows: dict[str, Any]
    empty: Sequence[str]
    free: list[str] = field(default_factory=lambda: list[str]())

    @classmethod
    def of(cls, connection: psycopg.Connection[Any]) -> _Template:
        rows = {name: _rows(connection, name) for (name,) in connection.execute(_TABLES).fetchall()}
        filled = {name: found for name, found in rows.items() if found}
        return cls(_shape(connection), filled, sorted(rows.keys() - filled.keys()))

    def restored(self, connection: psycopg.Connection[Any]) -> bool:
        """Whether a copy looks again as it did before it was used."""
        connection.execute(_ALONE)
        [size] = connection.execute(_SIZE).fetchone() or [REUSED]
        same = size < REUSED and _shape(connection) == self.shape
        if not same or any(_rows(connection, name) != found for name, found in self.rows.items()):
            return False
        emptied = [sql.SQL("DELETE FROM {}").format(sql.Identifier(name)) for name in self.empty]
        connection.execute(sql.SQL("; ").join(emptied))
        return True


def _shape(connection: psycopg.Connection[Any]) -> Any:
    return connection.execute(_SHAPE).fetchone()


def _rows(connection: psycopg.Connection[Any], table: str) -> list[Any]:
    return connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table))).fetchall()


class Databases:
    """The databases of one server, which `url` names; any number of processes may each have one of these."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._names: dict[str, str] = {}
        self._templates: dict[str, _Template] = {}
        self._copies: dict[str, _Template] = {}

    def create(self, template: str = "template0") -> str:
        """A fresh database, a copy of `template`; returns its URL."""
        known = self._templates.get(template)
        if known is not None and known.free:
            return known.free.pop()
        name = f"notify_test_{secrets.token_hex(8)}"
        self._run(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        url = self._named(name)
        if known is not None:
            self._copies[url] = known
        return url

    def template(self, name: str, build: Callable[[str], object]) -> str:
        """What `create` copies. `build(url)` fills it the first time and leaves no connection open."""
        if name not in self._names:
            url = self.create()
            build(url)
            self._names[name] = made = str(sa.make_url(url).database)
            with connect(url) as connection:
                self._templates[made] = _Template.of(connection)
        return self._names[name]

    def release(self, url: str) -> None:
        """Drop the database `url` names, or keep it as it was: to empty a copy costs less than to make another."""
        template = self._copies.get(url)
        if template is not None and _restored(template, url):
            template.free.append(url)
        else:
            self._drop(url)

    def close(self) -> None:
        """What was made to be copied, and the copies, are no longer needed."""
        for name, template in self._templates.items():
            for url in [*template.free, self._named(name)]:
                self._drop(url)
        self._templates.clear()

    def _drop(self, url: str) -> None:
        """Whoever is connected is thrown out."""
        self._run(f"DROP DATABASE IF EXISTS {sa.make_url(url).database} WITH (FORCE)")

    def _named(self, database: str) -> str:
        return sa.make_url(self.url).set(database=database).render_as_string(hide_password=False)

    def _run(self, statement: str) -> None:
        with connect(self.url) as connection:
            connection.execute(statement.encode())


def _restored(template: _Template, url: str) -> bool:
    try:
        with connect(url) as connection:
            return template.restored(connection)
    except psycopg.Error:
        return False
