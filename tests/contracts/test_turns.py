"""Writers of one SQLite file: nobody is kept out by somebody who writes one transaction after another."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from notify.errors import StoreUnavailable
from notify.store import turns
from notify.store.database import Database

ADD = sa.text("INSERT INTO written (by) VALUES (:by)")
#: Some milliseconds of work for SQLite, in which it holds the file.
WORK = sa.text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000) SELECT max(i) FROM n")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / "notify.db")) as made:
        made.execute("PRAGMA journal_mode = WAL")
        made.execute("CREATE TABLE written (place INTEGER PRIMARY KEY, by TEXT NOT NULL)")
    return tmp_path / "notify.db"


class Writer:
    """Somebody with connections of their own, as a process has them."""

    def __init__(self, file: Path, name: str) -> None:
        self.database = Database(f"sqlite:///{file}")
        self.name = name
        self.count = 0

    def write(self) -> None:
        with self.database.write() as connection:
            connection.execute(ADD, {"by": self.name})
            connection.execute(WORK)
        self.count += 1


@contextmanager
def _writing_without_a_pause(writer: Writer) -> Iterator[None]:
    ended = threading.Event()

    def write() -> None:
        while not ended.is_set():
            writer.write()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_whoever_asks_is_next(file: Path) -> None:
    busy, other = Writer(file, "busy"), Writer(file, "other")
    waited: list[int] = []
    with _writing_without_a_pause(busy):
        for _ in range(50):
            before = busy.count
            with other.database.write() as connection:
                waited.append(busy.count - before)
                connection.execute(ADD, {"by": other.name})

    # The one that was under way, and the one that began while we came.
    assert max(waited) <= 2, waited
    with busy.database.read() as connection:
        rows = connection.execute(sa.text("SELECT by, count(*) FROM written GROUP BY by")).all()
    assert dict(map(tuple, rows)) == {"busy": busy.count, "other": 50}


def test_who_does_not_know_of_turns_is_waited_for(file: Path) -> None:
    ours = Writer(file, "ours")
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as theirs:
        theirs.execute("BEGIN IMMEDIATE")
        thread = threading.Thread(target=ours.write)
        thread.start()
        theirs.execute("INSERT INTO written (by) VALUES ('theirs')")
        theirs.execute("COMMIT")
        thread.join()
        assert theirs.execute("SELECT by FROM written ORDER BY place").fetchall() == [("theirs",), ("ours",)]


def test_a_wait_without_end_is_an_error_that_names_the_database(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE", 0.05)
    first, second = Writer(file, "first"), Writer(file, "second")
    with first.database.write(), pytest.raises(StoreUnavailable, match=r"notify\.db.*database is locked"):
        second.write()

    second.write()
    assert second.count == 1


def test_without_a_place_for_turns_sqlite_s_own_lock_decides(file: Path) -> None:
    (file.parent / "notify.db-turn").mkdir()
    one, other = Writer(file, "one"), Writer(file, "other")
    with _writing_without_a_pause(one):
        for _ in range(5):
            other.write()

    assert other.count == 5
