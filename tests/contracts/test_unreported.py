"""What is done without Prefect is written down in few rows, and each is handed to whoever reports until it is said."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from notify import clock
from notify.engine import match
from notify.engine.aside import Aside
from notify.engine.ledger import Ledger
from notify.engine.records import described
from notify.store import unreported
from notify.store.tables import unreported as table
from tests.world import World, migrated

CODE = """
@workflow("code", on="code/asked", to=lambda event: event.data["to"], urgent=True, retries=0)
async def code(n: Notification[dict[str, Any]]) -> None:
    if n.payload.get("fails"):
        raise ValueError("no such thing")
    await n.email("note")
"""


class Away:
    """A worker's own loop beside a world, and what it writes down."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ledger = Ledger(world.engine, partial(described, world.engine))
        self.aside = Aside(world.engine, self.ledger)

    def work(self, *to: str, **data: Any) -> None:
        """One event for these people, worked on."""
        self.world.emit("code/asked", {"to": list(to), **data})
        asyncio.run(self._work())

    async def _work(self) -> None:
        await match.match_page(self.world.engine)
        await self.aside.ring("code")

    @property
    def rows(self) -> list[tuple[str, str, str]]:
        """Name, state and message of each row, the oldest first."""
        query = sa.select(table.c.name, table.c.state, table.c.message).order_by(table.c.started_at)
        return [tuple(row) for row in self.world.rows(query)]

    def take(self, *workflows: str, ago: float = 0.0, limit: int = 10, environment: str = "default") -> list[Any]:
        """What somebody who reports gets."""
        now = clock.now()
        with self.world.engine.database.write() as connection:
            begun = now - timedelta(seconds=ago)
            return unreported.take(connection, environment, workflows or ("code",), begun, now, limit)

    def report(self, row: Any) -> None:
        """A flow run says it."""
        with self.world.engine.database.write() as connection:
            unreported.reported(connection, "default", row.id)


@pytest.fixture(params=["sqlite", "postgresql"])
def away(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Away]:
    with World(tmp_path, migrated(request, request.param)) as world:
        world.workflow(CODE, "code/note.email")
        world.people("ana", "bo", "cy")
        yield Away(world)


def test_many_batches_of_a_workflow_become_one_row_that_counts_each_person_once(away: Away) -> None:
    for people in (["ana"], ["bo"], ["ana", "cy"]):
        away.work(*people)
        away.world.clock.advance(timedelta(minutes=20))

    assert away.rows == [("code · 3 people", "Completed", "3 people, 4 messages")]
    (row,) = away.take()
    assert row.finished_at - row.started_at == timedelta(minutes=40)


def test_a_batch_that_found_nothing_leaves_no_row(away: Away) -> None:
    away.work()

    assert away.rows == []


MEND = "no such thing. Mend it and retry this run: only what failed is done again."


def test_a_row_ends_as_the_flow_run_would_have_ended(away: Away) -> None:
    away.work("ana", fails=True)
    failed = away.rows
    away.work("bo")

    assert failed == [("code · 1 person", "Failed", f"1 person, 0 messages, 1 failed: {MEND}")]
    assert away.rows == [("code · 2 people", "Degraded", f"2 people, 1 message, 1 failed: {MEND}")]


def test_a_batch_that_cannot_be_worked_on_is_a_row_that_failed(away: Away, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> bool:
        raise RuntimeError("no room left")

    monkeypatch.setattr("notify.engine.batch.begin", broken)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            away.work("ana")

    assert away.rows == [("code · nobody", "Failed", "no room left. Before that: Nothing was ready")]


def test_a_row_that_was_taken_says_no_more_and_the_next_batch_begins_another(away: Away) -> None:
    away.work("ana")
    taken = away.take()
    away.world.clock.advance(timedelta(seconds=1))
    away.work("bo")
    away.report(taken[0])

    assert [row.message for row in taken] == ["1 person, 1 message"]
    assert away.rows == [("code · 1 person", "Completed", "1 person, 1 message")]


def test_what_was_taken_and_never_reported_is_taken_again(away: Away) -> None:
    away.work("ana")
    first = away.take()

    assert [row.id for row in away.take()] == [row.id for row in first]
    away.report(first[0])
    assert away.take() == []


def test_rows_are_taken_a_few_at_a_time_the_oldest_first_and_not_before_their_time(away: Away) -> None:
    for person in ("ana", "bo", "cy"):
        away.ledger = away.aside.ledger = Ledger(away.world.engine, partial(described, away.world.engine))
        away.work(person)
        away.world.clock.advance(timedelta(seconds=2))

    assert [row.started_at for row in away.take(limit=2, ago=5)] == [away.world.clock.at - timedelta(seconds=6)]
    assert len(away.take(limit=2)) == 2
    assert away.take("another") == away.take(environment="elsewhere") == []


def test_another_worker_has_a_row_of_its_own(away: Away) -> None:
    away.work("ana")
    engine = away.world.another()
    away.aside = Aside(engine, Ledger(engine, partial(described, engine)))
    away.work("bo")

    assert [name for name, _, _ in away.rows] == ["code · 1 person"] * 2
