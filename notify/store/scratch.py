"""A store that need not survive: in memory where the machine has a folder for that, and emptied for each use."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import event

from notify.store import schema
from notify.store.database import Database

#: Files there are memory.
_MEMORY = Path("/dev/shm")


@contextmanager
def scratch() -> Generator[Database]:
    """An empty store that has the schema already, for one user at a time; its folder is gone when the process ends.

    A file, not SQLite's `:memory:`: the store reads on connections of their own while another one writes, and
    connections that share a database in memory lock each other out of whole tables. It is one `Database` for all
    uses, because its engines remember the statements they have compiled.
    """
    store = _store()
    store.empty()
    try:
        yield store.database
    finally:
        store.disconnect()


@cache
def _store() -> _Store:
    return _Store()


class _Store:
    def __init__(self) -> None:
        where = _MEMORY if os.access(_MEMORY, os.W_OK) else None
        self._folder = TemporaryDirectory(prefix="notify-scratch-", dir=where)
        self._file = Path(self._folder.name) / "notify.db"
        self.database = Database(f"sqlite:///{self._file}")
        for engine in self.database.engines:
            event.listen(engine, "connect", _hasten)
        schema.upgrade(self.database)
        self.disconnect()
        self._empty = self._file.read_bytes()

    def empty(self) -> None:
        """Migrating a new file would take longer than most tests."""
        for beside in ("-wal", "-shm"):
            self._file.with_name(self._file.name + beside).unlink(missing_ok=True)
        self._file.write_bytes(self._empty)

    def disconnect(self) -> None:
        """What was written is in the file afterwards."""
        for engine in self.database.engines:
            engine.dispose()


def _hasten(connection: sqlite3.Connection, _: Any) -> None:
    connection.execute("PRAGMA synchronous = OFF")
