"""Many rows go in as few statements, none of them larger than what a connection should keep a buffer for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from notify.store import bulk
from notify.store.database import Database
from notify.store.tables import dedupe
from tests.world import START, migrated


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    made = Database(migrated(request, request.param))
    yield made
    made.close()


def _row(id_: str) -> dict[str, Any]:
    return {"environment": "test", "name": "n", "id": id_, "first_seen": START, "uid": "0" * 32}


def _inserted(database: Database, ids: list[str]) -> tuple[set[str], list[int]]:
    """The ids that were new, and how many bytes of rows each statement carried."""
    sizes: list[int] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "INSERT" in statement:
            rows = parameters["rows"] if isinstance(parameters, dict) else parameters[0]
            sizes.append(len(rows))

    event.listen(database.engines[-1], "before_cursor_execute", note)
    with database.write() as connection:
        return bulk.insert_returning(connection, dedupe, [_row(id_) for id_ in ids], dedupe.c.id), sizes


def test_large_rows_go_in_pages_and_all_of_them_go_in(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "LARGEST", 10_000)
    large = ["x" * 20_000]
    ids = [f"{place:03}" + "y" * 900 for place in range(50)]

    new, sizes = _inserted(database, ids[:20] + large + ids[20:])

    assert new == {*ids, *large}
    assert [size > 10_100 for size in sizes].count(True) == 1, "only the one that is larger by itself"
    assert 6 <= len(sizes) <= 9
    assert _inserted(database, ids)[0] == set()


def test_small_rows_go_in_one_statement_and_none_in_no_statement(database: Database) -> None:
    ids = [str(place) for place in range(1000)]

    assert _inserted(database, ids)[0] == set(ids)
    assert len(_inserted(database, ids)[1]) == 1
    assert _inserted(database, []) == (set(), [])
