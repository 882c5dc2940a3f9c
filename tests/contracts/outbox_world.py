"""Connections an application may have, and an application with a database of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from notify.engine.relay import Relay
from notify.store.application import Application
from tests.world import World, migrated


def raw(url: str, **options: Any) -> Any:
    """A connection of the driver's own."""
    if url.startswith("sqlite"):
        return sqlite3.connect(sa.make_url(url).database or "", **options)
    plain = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, **options)


@contextmanager
def sqlalchemy_connection(url: str) -> Generator[Any]:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@contextmanager
def orm_session(url: str) -> Generator[Any]:
    engine = sa.create_engine(url)
    with Session(engine) as session:
        yield session
    engine.dispose()


@contextmanager
def orm_scoped_session(url: str) -> Generator[Any]:
    engine = sa.create_engine(url)
    scoped = scoped_session(sessionmaker(engine))
    yield scoped
    scoped.remove()
    engine.dispose()


def driver_connection(url: str) -> AbstractContextManager[Any]:
    return closing(raw(url))


Opened = Callable[[str], AbstractContextManager[Any]]
KINDS: list[Opened] = [sqlalchemy_connection, orm_session, orm_scoped_session, driver_connection]


def order(connection: Any) -> None:
    """What the application itself writes."""
    words = "INSERT INTO orders VALUES ('o1')"
    connection.execute(words if isinstance(connection, sqlite3.Connection | psycopg.Connection) else sa.text(words))


# --- a database of the application's own ----------------------------------------------------------------


@dataclass
class Shop:
    """An application that has orders, and perhaps an outbox."""

    url: str
    world: World

    def rows(self, query: str) -> list[Any]:
        """The rows of a query in its database."""
        with closing(raw(self.url)) as connection:
            return connection.execute(query).fetchall()

    @property
    def orders(self) -> list[str]:
        return [row[0] for row in self.rows("SELECT id FROM orders")]

    @property
    def written(self) -> list[str]:
        """The uids in its outbox, in the order of `seq`."""
        return [str(row[0]) for row in self.rows("SELECT uid FROM notify_outbox ORDER BY seq")]

    def relay(self, environment: str = "default") -> Relay:
        """A worker's, which looks when it is told to."""
        return Relay(Application(self.url), self.world.engine.database, environment)

    def copied(self) -> None:
        """Let a worker copy what there is, then do what follows from it."""
        relay = self.relay()
        while relay.turn():
            continue
        relay.application.close()
        self.world.settle()


def made(request: pytest.FixtureRequest, kind: str, name: str = "shop") -> str:
    """The URL of an application's database, which has orders and no outbox yet."""
    if kind == "sqlite":
        url = f"sqlite:///{request.getfixturevalue('tmp_path') / name}.db"
    else:
        url = request.getfixturevalue("make_database")()
    with closing(raw(url)) as connection:
        connection.execute("CREATE TABLE orders (id TEXT)")
        connection.commit()
    return url


def store(request: pytest.FixtureRequest, kind: str) -> str:
    """The URL of a store of this kind."""
    return migrated(request, kind)


def install(url: str) -> bool:
    """What `notify db outbox` does."""
    return Application(url).install()
