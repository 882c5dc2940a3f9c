"""Transactions. One Database a process; every other module of the store takes an open connection."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import orjson
import psycopg
import sqlalchemy as sa
from psycopg.types.string import TextLoader
from sqlalchemy import event, exc

from notify.errors import StoreNotWritable, StoreUnavailable
from notify.store.turns import Turns

P = ParamSpec("P")
T = TypeVar("T")

#: How often a transaction that lost a deadlock is run again.
_TRIES = 5
_RETRYABLE = ("40001", "40P01")
#: Seconds after which a connection of the pool is asked whether it still stands.
_RESTED = 1.0


class Database:
    """The store's connections.

    Reads run beside each other. On SQLite the writes of a process go through one connection, each transaction
    `BEGIN IMMEDIATE`: deferred ones fail with "database is locked" as soon as two of them read first.
    """

    def __init__(self, url: str) -> None:
        self.url = sa.make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._turns = _turns(self.url.database or "") if self.is_sqlite else None
        self._reader = self._engine()
        self._writer = self._engine(self._turns.begin, size=1) if self._turns else self._reader
        self._single = self._writer if self.is_sqlite else self._engine(isolation_level="AUTOCOMMIT")
        self._write_lock = threading.RLock()
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="notify-store")

    def _engine(self, begin: Callable[[sa.Connection], None] | None = None, size: int = 8, **options: Any) -> sa.Engine:
        """On SQLite each transaction starts with `begin`, which waits for its turn itself."""
        engine = sa.create_engine(
            self.url,
            pool_size=size,
            max_overflow=0,
            json_serializer=_json,
            json_deserializer=_from_json,
            connect_args=_connect_args(self.is_sqlite),
            poolclass=sa.QueuePool,
            **options,
        )
        if self.is_sqlite:
            event.listen(engine, "connect", partial(_prepare_sqlite, 0 if begin else 10_000))
            event.listen(engine, "begin", begin or _begin)
        else:
            event.listen(engine, "connect", _prepare_postgres)
            event.listen(engine, "checkin", _rests)
            event.listen(engine, "checkout", _still_there)
        return engine

    @property
    def engines(self) -> Sequence[sa.Engine]:
        """The engines behind this database, for whoever counts or disturbs statements; the last one writes."""
        return [self._reader if self.is_sqlite else self._single, self._writer]

    @property
    def dialect(self) -> sa.Dialect:
        """What the database speaks."""
        return self._writer.dialect

    @contextmanager
    def read(self) -> Generator[sa.Connection]:
        """A consistent view; nothing written here is kept."""
        with self._translated(), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Generator[sa.Connection]:
        """One transaction: committed at the end of the block, rolled back on an exception."""
        if not self.is_sqlite:
            with self._translated(), self._writer.begin() as connection:
                yield connection
            return
        with self._write_lock, self._translated(), self._writer.begin() as connection:
            yield connection

    def alone(self, statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        """The rows of one PostgreSQL statement that is its own transaction: a single round trip.

        The driver's own cursor: SQLAlchemy around it was a sixth of what saying something costs an application.
        """
        try:
            with self._borrowed() as cursor:
                return cursor.execute(statement, parameters).fetchall()
        except psycopg.OperationalError as error:
            raise self._unavailable(error) from error

    @contextmanager
    def _borrowed(self) -> Generator[Any]:
        """A cursor of a connection that goes back to the pool, unless it turns out to be dead."""
        connection = self._single.raw_connection()
        try:
            yield connection.cursor()
        except psycopg.OperationalError as error:
            connection.invalidate(error)
            raise
        finally:
            connection.close()

    def transact(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` in one transaction; again from its start if the database chose it as a deadlock's victim."""
        for _ in range(_TRIES - 1):
            try:
                with self.write() as connection:
                    return work(connection)
            except exc.DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) not in _RETRYABLE:
                    raise
        with self.write() as connection:
            return work(connection)

    async def reading(self, work: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`work(connection, …)` on a reading connection, in a thread."""
        return await self._in_thread(lambda: self._read_with(lambda connection: work(connection, *args, **kwargs)))

    async def writing(self, work: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`work(connection, …)` in one transaction, in a thread; see `transact`."""
        return await self._in_thread(lambda: self.transact(lambda connection: work(connection, *args, **kwargs)))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        future = asyncio.get_running_loop().run_in_executor(self._threads, call)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            # It cannot be stopped, so it is waited for, however often cancelled: what the caller does last must come
            # after it.
            while not future.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([future])
            raise

    def _read_with(self, work: Callable[[sa.Connection], T]) -> T:
        with self.read() as connection:
            return work(connection)

    @contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except (exc.IntegrityError, exc.ProgrammingError, exc.DataError, exc.InternalError):
            raise
        except exc.DatabaseError as error:
            if getattr(error.orig, "sqlstate", None) in _RETRYABLE:
                raise
            raise self._unavailable(error.orig) from error

    def _unavailable(self, error: BaseException | None) -> StoreUnavailable | StoreNotWritable:
        problem = str(error).strip().splitlines()[0]
        if self.is_sqlite and any(word in problem for word in ("readonly", "unable to open", "disk is full")):
            return StoreNotWritable(folder=str(Path(self.url.database or "").parent), problem=problem)
        return StoreUnavailable(url=self.url.render_as_string(hide_password=True), problem=problem)

    def close(self) -> None:
        """Give every connection back."""
        self._threads.shutdown(wait=True)
        for engine in self.engines:
            engine.dispose()
        if self._turns:
            self._turns.close()


def _json(value: Any) -> str:
    return orjson.dumps(value, default=str).decode()


def _from_json(stored: Any) -> Any:
    """SQLite keeps a bare number in a JSON column as a number."""
    return stored if isinstance(stored, int | float) else orjson.loads(stored)


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _rests(_: Any, record: Any) -> None:
    record.info["rests_since"] = time.monotonic()


def _still_there(connection: Any, record: Any, _: Any) -> None:
    """Ask a connection that rested for a while whether the server is still there; the pool replaces a dead one."""
    if time.monotonic() - record.info.get("rests_since", time.monotonic()) > _RESTED:
        try:
            connection.execute("").close()
            connection.rollback()
        except psycopg.Error as error:
            raise exc.DisconnectionError from error


def _turns(file: str) -> Turns:
    folder = Path(file).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreNotWritable(folder=str(folder), problem=error.strerror or str(error)) from error
    return Turns(Path(file))


def _connect_args(is_sqlite: bool) -> dict[str, Any]:
    if is_sqlite:
        return {"check_same_thread": False, "isolation_level": None, "timeout": 10.0}
    return {"options": "-c timezone=UTC", "connect_timeout": 10}


def _prepare_postgres(connection: psycopg.Connection, _: Any) -> None:
    """Ids are strings here: a UUID object each, only to be written out again, took longer than reading the row."""
    connection.adapters.register_loader("uuid", TextLoader)


def _prepare_sqlite(patience: int, connection: sqlite3.Connection, _: Any) -> None:
    """`patience` is in milliseconds, for what comes after; making it a WAL takes some in any case."""
    connection.execute("PRAGMA busy_timeout = 10000")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA busy_timeout = {patience}")
