"""Only so many notifications of a key at once, over all workers, on both databases."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from notify import registry
from notify.engine import batch, local, match, sweep
from notify.engine.context import Engine
from notify.engine.work import Quietly, Tally
from notify.model import new_id
from notify.store import notifications as claims
from notify.store.tables import notifications
from tests.eventually import eventually_sync
from tests.faults.crash_load import expire
from tests.world import START, World, migrated

LIMITED = """
@workflow("call", concurrency={concurrency}, retries=0)
async def call(n: Notification[dict[str, Any]]) -> None:
    await n.run("look", look, n.id)
    {then}

def look(id: str) -> None:
    calls.append(id)
    watch()

def watch() -> None: ...
"""
BY_USER = 'Concurrency(limit=2, key="user.id")'
TOGETHER = "Concurrency(limit=3)"


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        made.people("ann", "bob")
        yield made


def limited(world: World, concurrency: str, then: str = "pass") -> None:
    world.workflow(LIMITED.format(concurrency=concurrency, then=then))


def ask(world: World, *users: Any, **options: Any) -> None:
    """The workflow is asked for, once for each of these users, in this order."""
    for place, user in enumerate(users):
        at = START - timedelta(days=1) + timedelta(seconds=place)
        world.trigger("call", "ann", {"user": {"id": user}}, **{"at": at, **options})


def claimed(world: World, engine: Engine | None = None) -> list[Any]:
    """Whose notifications a worker takes that looks now; it keeps them until they expire."""
    engine = engine or world.engine
    asyncio.run(match.match_page(engine))
    with engine.database.write() as connection:
        return taken_by(world, connection)


def taken_by(world: World, connection: sa.Connection) -> list[Any]:
    limits = {"limit": batch.BATCH, "concurrency": world.engine.registry.workflow("call").concurrency}
    options: dict[str, Any] = {"token": new_id(), "lease": world.engine.lease, "now": world.clock.at, **limits}
    taken = claims.claim(connection, "default", "call", **options)
    return [one.event.data["payload"]["user"]["id"] for one in taken]


def busy(world: World) -> bool:
    return "call" in asyncio.run(local.look(world.engine)).busy


def work(world: World, scope: batch.Scope | None = None) -> bool:
    known = world.engine.registry.workflow("call")
    return asyncio.run(batch.work(world.engine, known, Quietly(), Tally(), scope))


# --- who is taken -------------------------------------------------------------------------------


def test_of_each_key_as_many_are_taken_as_there_is_room_for_and_the_oldest_first(world: World) -> None:
    limited(world, BY_USER)
    ask(world, "a", "a", "a", "b", "a", "c", "c", "c")

    assert claimed(world) == ["a", "a", "b", "c", "c"]
    assert claimed(world) == []
    assert [row.status for row in world.notifications()] == [
        *("running", "running", "ready", "running", "ready", "running", "running", "ready")
    ]


def test_the_urgent_go_first(world: World) -> None:
    limited(world, "Concurrency(limit=1, key='user.id')")
    ask(world, "a")
    ask(world, "a", "b", priority="high", at=START)

    claimed(world)

    assert [(row.priority, row.status) for row in world.notifications()] == [
        (1, "ready"),
        *[(2, "running")] * 2,
    ]


def test_without_a_key_the_limit_is_the_workflows(world: World) -> None:
    limited(world, TOGETHER)
    ask(world, *"abcde")

    assert (claimed(world), claimed(world, world.another())) == (["a", "b", "c"], [])


def test_any_value_is_a_key_of_its_own_and_what_is_missing_is_null(world: World) -> None:
    limited(world, "Concurrency(limit=1, key='user.id')")
    ask(world, 0, "", None, False, [1], 0, "", None, False, [1])
    for payload in ({}, {"user": "nobody"}):
        world.trigger("call", "ann", payload)
    asyncio.run(match.match_page(world.engine))

    assert claimed(world) == [0, "", None, False, [1]]
    assert Counter(row.run_key for row in world.notifications()) == {"0": 2, "": 2, "null": 4, "false": 2, "[1]": 2}


def test_the_key_of_an_event_is_in_its_data(world: World) -> None:
    source = """
    @workflow("call", on="it/happened", to=["ann", "bob"], concurrency=Concurrency(limit=1, key="user"))
    async def call(n: Notification[dict[str, Any]]) -> None: ...
    """
    world.workflow(source)
    world.emit("it/happened", {"user": "u1"})
    asyncio.run(match.match_page(world.engine))

    assert [row.run_key for row in world.notifications()] == ["u1", "u1"]


def test_those_from_before_the_option_are_not_limited(world: World) -> None:
    limited(world, "None")
    ask(world, "a", "a")
    asyncio.run(match.match_page(world.engine))
    limited(world, "Concurrency(limit=1, key='user.id')")
    ask(world, "a", "a")

    assert claimed(world) == ["a", "a", "a"]


def test_a_limit_below_one_is_refused(world: World) -> None:
    (world.flows / "wrong.py").write_text(
        "from notify.workflow import Concurrency, workflow\n"
        "@workflow('wrong', concurrency=Concurrency(limit=0))\nasync def wrong(n): ...\n"
    )

    [broken] = registry.load(world.flows).broken

    assert "concurrency=Concurrency(limit=0, key=None) is not possible" in str(broken)


# --- while others run ---------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [BY_USER, TOGETHER])
def test_nobody_is_busy_with_those_for_whom_there_is_no_room(world: World, concurrency: str) -> None:
    limited(world, concurrency)
    ask(world, *"aaaaa")
    asyncio.run(match.match_page(world.engine))
    before = busy(world)

    taken = len(claimed(world))

    assert (before, busy(world), work(world)) == (True, False, False)
    ask(world, "b")
    asyncio.run(match.match_page(world.engine))
    assert busy(world) == (taken == 2)


@pytest.mark.parametrize("concurrency", [BY_USER, TOGETHER])
def test_the_places_of_a_worker_that_was_lost_are_given_back(world: World, concurrency: str) -> None:
    limited(world, concurrency)
    ask(world, *"aaaaa")
    claimed(world)
    world.settle()
    assert world.module().calls == []

    expire(world)
    asyncio.run(sweep.sweep_rows(world.engine))
    assert busy(world)
    world.settle()

    assert world.statuses() == [("completed", "nothing_sent")] * 5
    assert world.module().calls == [row.id for row in world.notifications()]


def test_who_waits_takes_no_place(world: World) -> None:
    limited(world, "Concurrency(limit=1, key='user.id')", then='await n.sleep("pause", hours=1)')
    ask(world, *"aaa")

    world.settle()
    assert [row.status for row in world.notifications()] == ["waiting"] * 3

    world.advance(hours=1)
    assert [row.status for row in world.notifications()] == ["completed"] * 3


def test_a_run_by_hand_keeps_to_the_limit(world: World) -> None:
    limited(world, TOGETHER)
    people = [f"p{number}" for number in range(7)]
    ask(world, "a")
    claimed(world)
    uid = world.trigger("call", people).uid
    asyncio.run(match.match_page(world.engine))
    seen = watched(world, None)

    while work(world, batch.Scope(event=uid)):
        continue

    assert max(seen) == 3
    assert len(world.module().calls) == 7


def test_a_broadcast_keeps_to_the_limit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "BATCH", 4)
    people = [f"p{number}" for number in range(10)]
    world.people(*people)
    limited(world, BY_USER)
    seen = watched(world, "null")
    world.notify.broadcast("call", payload={})

    world.settle()

    assert max(seen) == 2
    assert [row.status for row in world.notifications()] == ["completed"] * 12


# --- two workers --------------------------------------------------------------------------------


def watched(world: World, key: str | None) -> list[int]:
    """How many were running whenever the author's function was called: of this key, or of all."""
    seen: list[int] = []
    n = notifications.c
    query = sa.select(sa.func.count()).select_from(notifications).where(n.status == "running")
    if key is not None:
        query = query.where(n.run_key == key)

    def watch() -> None:
        seen.append(world.rows(query)[0][0])

    world.module().__dict__["watch"] = watch
    return seen


def test_who_claims_beside_another_waits_until_that_one_has_decided(world: World) -> None:
    limited(world, TOGETHER)
    ask(world, *"abcdef")
    asyncio.run(match.match_page(world.engine))

    with ThreadPoolExecutor(1) as threads, world.engine.database.write() as connection:
        first = taken_by(world, connection)
        second = threads.submit(claimed, world, world.another())
        eventually_sync(lambda: second.done() or _waits(world), "the other one is over, or waits for its turn")

    assert (first, second.result()) == (["a", "b", "c"], [])


def _waits(world: World) -> bool:
    """Whether somebody waits for this one; SQLite lets nobody else write in any case."""
    if world.notify.database.is_sqlite:
        return True
    locks = sa.table("pg_locks", sa.column("locktype"), sa.column("granted"))
    return bool(world.rows(sa.select(locks).where(locks.c.locktype == "advisory", sa.not_(locks.c.granted))))


async def settled_by_two(world: World) -> None:
    other = world.another()
    await asyncio.gather(*(local.settle(engine) for engine in (world.engine, other)))
    for engine in (world.engine, other):
        await local.settle(engine)


@pytest.mark.parametrize(("concurrency", "key", "limit"), [(BY_USER, "a", 2), (TOGETHER, None, 3)])
def test_two_workers_together_run_no_more_than_one_may(
    world: World, monkeypatch: pytest.MonkeyPatch, concurrency: str, key: str | None, limit: int
) -> None:
    monkeypatch.setattr(batch, "BATCH", 5)
    limited(world, concurrency)
    ask(world, *"aab" * 10)
    seen = watched(world, key)
    asyncio.run(match.match_page(world.engine))

    asyncio.run(settled_by_two(world))

    assert max(seen) == limit
    assert Counter(world.module().calls) == dict.fromkeys((row.id for row in world.notifications()), 1)
    assert world.statuses() == [("completed", "nothing_sent")] * 30
