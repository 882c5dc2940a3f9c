"""Prefect's files after its first start. Its first start makes a database, which takes longer than most tests."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from notify.engine.server import EmbeddedServer


def make(home: Path) -> None:
    """Start a server there for the first time, and leave its files as one that ended in peace leaves them."""

    async def start() -> None:
        async with EmbeddedServer(home, 0):
            pass

    asyncio.run(start())
    with closing(sqlite3.connect(home / "prefect" / "prefect.db")) as database:
        database.execute("PRAGMA journal_mode = delete")


def copy(made: Path, home: Path) -> Path:
    """Give a home what `make` has left in another: the first server that starts there finds its database."""
    shutil.copytree(made / "prefect", home / "prefect")
    return home
