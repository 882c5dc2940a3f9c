"""A PostgreSQL server that keeps what it commits, with a database for each system under test."""

from __future__ import annotations

import psycopg
import sqlalchemy as sa

from tests.postgres import Server

#: fsync, synchronous_commit and full_page_writes keep their defaults: on.
SETTINGS = (
    "shared_buffers=256MB",
    "shared_preload_libraries=pg_stat_statements",
    "pg_stat_statements.track_utility=on",
)


class Storage:
    """The server, for the length of a `with` block."""

    def __init__(self) -> None:
        self.server = Server(SETTINGS)

    def __enter__(self) -> Storage:
        try:
            self.server.start()
            self.run("CREATE EXTENSION pg_stat_statements")
        except BaseException:
            self.server.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()

    @property
    def pid(self) -> int:
        """The postmaster."""
        return self.server.pid

    @property
    def version(self) -> str:
        """As the server says it."""
        return str(self._one("SHOW server_version"))

    def create(self, name: str) -> str:
        """A fresh database in place of an earlier one; returns its URL as psycopg and libpq read it."""
        self.run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        self.run(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def url(self, name: str) -> str:
        """The URL of a database that was created."""
        return f"postgresql://postgres@/{name}?host={self.server.folder}"

    def forget_statements(self) -> None:
        """Count from here."""
        self.run("SELECT pg_stat_statements_reset()")

    def statements(self, database: str) -> tuple[int, int]:
        """Statements run in a database since then: all, and without BEGIN and COMMIT."""
        query = """SELECT coalesce(sum(calls), 0),
                          coalesce(sum(calls) FILTER (WHERE query !~* '^(begin|commit|rollback)'), 0)
                   FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = %s"""
        with self._connect() as connection:
            found = connection.execute(query, [database]).fetchone()
        assert found is not None
        return int(found[0]), int(found[1])

    def run(self, statement: str) -> None:
        """One statement in the maintenance database."""
        with self._connect() as connection:
            connection.execute(statement.encode())

    def _one(self, statement: str) -> object:
        with self._connect() as connection:
            found = connection.execute(statement.encode()).fetchone()
        return found[0] if found else None

    def _connect(self) -> psycopg.Connection:
        plain = sa.make_url(self.server.url).set(drivername="postgresql").render_as_string(hide_password=False)
        return psycopg.connect(plain, autocommit=True)
