"""How many statements and task runs a thousand people cost: a number that does not grow with them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import event

from notify.engine import batch, delivery, match
from notify.engine.work import Tally
from notify.store.database import Database
from tests.world import SHIPPED, World, migrated

T = TypeVar("T")
PEOPLE = [f"p{number}" for number in range(1000)]
TASK = {
    "taskId": "T",
    "taskTitle": "Write it down",
    "assigneeId": "ann",
    "assigneeName": "Ann",
    "assignerId": "cid",
    "assignerName": "Cid",
    "projectName": "House",
    "dueDate": None,
}


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> Iterator[World]:
    with World(tmp_path, migrated(request, kind), flows=SHIPPED) as made:
        made.people(*PEOPLE)
        yield made


class Counting:
    """A stage that counts tasks, and leaves the messages for later."""

    def __init__(self) -> None:
        self.tasks: list[str] = []

    async def task(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        self.tasks.append(name)
        if name.startswith("deliver"):
            return None  # type: ignore[return-value]
        return await work()


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """The statements run inside the block, each with its first thousand characters."""
    found: list[str] = []
    lock = threading.Lock()

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("BEGIN"):
            with lock:
                found.append(" ".join(statement.split()).replace(" = ", "=")[:1000])

    for engine in database.engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        for engine in database.engines:
            event.remove(engine, "before_cursor_execute", note)


def assign_to_all(world: World, how: str) -> None:
    if how == "one trigger":
        world.trigger("task-assigned", PEOPLE, TASK)
    else:
        data = [TASK | {"taskId": f"T{place}", "assigneeId": one} for place, one in enumerate(PEOPLE)]
        world.notify.emit_many({"name": "task/assigned", "data": one} for one in data)
    asyncio.run(match.match_page(world.engine))


@pytest.mark.parametrize(
    ("kind", "how"), [("sqlite", "one trigger"), ("postgresql", "one trigger"), ("postgresql", "a thousand events")]
)
def test_a_thousand_people_cost_a_dozen_tasks_thirty_statements_and_two_writes_a_wave(world: World, how: str) -> None:
    assign_to_all(world, how)
    workflow, stage = world.engine.registry.workflow("task-assigned"), Counting()
    waves = [-(-1000 // (provider.concurrency // 2)) for provider in world.providers.values()]

    with statements(world.notify.database) as working:
        asyncio.run(batch.work(world.engine, workflow, stage, Tally()))
    with statements(world.notify.database) as delivering:
        asyncio.run(delivery.deliver_due(world.engine, limit=2000))

    assert len(stage.tasks) <= 12, stage.tasks
    deciding = working[next(place for place, one in enumerate(working) if "claim=" in one) :]
    assert len(deciding) <= 30, deciding
    assert len([one for one in deciding if one.startswith("SELECT subscribers.")]) == 1, deciding
    claiming, last = 3, len(waves)
    locks = [statement for statement in delivering if statement.startswith("SELECT")]
    assert len(locks) <= sum(waves) + claiming, locks
    assert len(delivering) - len(locks) <= 2 * (sum(waves) + last) + claiming, delivering
    assert world.told() == {("task-assigned", "delivered"): 1000, ("task-assigned", "sent"): 2000}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_matching_a_thousand_events_takes_a_number_of_statements_that_does_not_grow(world: World) -> None:
    counts: list[int] = []
    for people in (PEOPLE[:10], PEOPLE):
        data = [TASK | {"taskId": f"{len(people)}-{one}", "assigneeId": one} for one in people]
        world.notify.emit_many({"name": "task/assigned", "data": one} for one in data)
        with statements(world.notify.database) as found:
            assert asyncio.run(match.match_page(world.engine)) == len(people)
        counts.append(len(found))

    small, large = counts
    assert large <= small + 10, counts
