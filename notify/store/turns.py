"""Whose turn it is to write, where several processes share a SQLite file.

SQLite itself has no queue: who finds the file locked tries again after longer and longer pauses, so a worker that
writes one transaction after another keeps an application out for tenths of a second each time.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import exc

#: Seconds a transaction waits to begin before it is refused, and between two looks.
PATIENCE, LOOK = 10.0, 0.001


class Turns:
    """One process's place among those that write to a file.

    A courtesy, not a lock: SQLite's own lock decides, also about those who do not know of turns.
    """

    def __init__(self, database: Path) -> None:
        self._descriptor: int | None = None
        with suppress(OSError):  # whoever cannot make a file here cannot write to the database either, and is told so
            file = database.with_name(f"{database.name}-turn")
            self._descriptor = os.open(file, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def begin(self, connection: sa.Connection) -> None:
        """`BEGIN IMMEDIATE` on a connection without a busy timeout. SQLite's error when it takes too long."""
        deadline = time.monotonic() + PATIENCE
        with self._next_in_line(deadline):
            while not _begun(connection, is_last=time.monotonic() > deadline):
                time.sleep(LOOK)

    def close(self) -> None:
        """Leave."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @contextmanager
    def _next_in_line(self, deadline: float) -> Generator[None]:
        while not self._is_mine() and time.monotonic() < deadline:
            time.sleep(LOOK)
        try:
            yield
        finally:
            if self._descriptor is not None:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _is_mine(self) -> bool:
        if self._descriptor is None:
            return True
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


def _begun(connection: sa.Connection, *, is_last: bool) -> bool:
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    except exc.OperationalError as error:
        if is_last or not _is_busy(error.orig):
            raise
        return False
    return True


def _is_busy(error: BaseException | None) -> bool:
    """Whatever else SQLite says of it is in the upper bytes. An error that is not SQLite's own has no code."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
