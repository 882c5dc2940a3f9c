"""What a throttle remembers, on both databases, and that two workers let no more pass than one would."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st
from sqlalchemy import event

from notify.engine import batch, local, match, sweep
from notify.model import new_id
from notify.reports import why
from notify.store import throttles as store
from notify.store.tables import steps, throttles
from tests.contracts.throttle_world import limited, passed, say
from tests.faults.crash_load import expire
from tests.world import START, World, migrated


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    return migrated(request, request.param)


@pytest.fixture
def world(tmp_path: Path, url: str) -> Iterator[World]:
    with World(tmp_path, url) as made:
        made.people("ann", "bob")
        yield made


# --- memory -------------------------------------------------------------------------------------


def test_who_passed_is_not_counted_again_and_who_was_held_back_does_not_pass_later(world: World) -> None:
    source = """
    @workflow("hello")
    async def hello(n: Notification[dict[str, Any]]) -> None:
        await n.throttle("limit", minutes=10)
        calls.append(await n.run("look", look))
        await n.email("note")

    def look() -> int:
        if len(calls) < 1:
            calls.append(None)
            raise OSError("not now")
        return 1
    """
    world.workflow(source, "hello/note.email")
    say(world, 0, 1)
    world.at(START + timedelta(minutes=1))
    world.advance(minutes=30)

    assert world.statuses() == [("completed", None), ("completed", "throttled")]
    assert [row.count for row in world.rows(sa.select(throttles))] == [1]


def test_a_crash_between_deciding_and_ending_decides_nothing_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(world, "threshold=2, minutes=10")
    say(world, 0, 1, 2, 3)
    world.clock.advance(timedelta(minutes=3))

    async def lost(*_: Any) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr("notify.engine.work.Work.finish", lost)
        with pytest.raises(SystemExit):
            world.settle()
    decided = world.rows(sa.select(steps.c.notification, steps.c.state).order_by(steps.c.notification))
    expire(world)
    world.restart()
    asyncio.run(sweep.sweep_rows(world.engine))
    world.settle()

    assert Counter(row.state for row in decided) == {"completed": 2, "skipped": 2}
    assert world.rows(sa.select(steps.c.notification, steps.c.state).order_by(steps.c.notification)) == decided
    assert passed(world) == [0, 1]


def test_a_throttle_added_before_a_wait_somebody_is_in_lets_pass_and_counts_nobody(world: World) -> None:
    source = """
    @workflow("hello")
    async def hello(n: Notification[dict[str, Any]]) -> None:
        {added}
        await n.sleep("pause", hours=1)
        await n.email("note")
    """
    world.workflow(source.format(added="pass"), "hello/note.email")
    say(world, 0, 0)
    world.settle()

    world.workflow(source.format(added='await n.throttle("limit", until=None)'))
    world.advance(hours=1)

    assert world.told() == {("hello", "sent"): 2}
    assert world.rows(sa.select(throttles)) == []


def test_why_says_that_it_was_throttled_and_until_when(world: World) -> None:
    limited(world, "minutes=10")
    say(world, 0, 1)
    world.advance(minutes=1)

    last = world.notifications()[-1]
    answer = why.why(last.id, database=world.notify.database, environment="default")

    sentence = "as many as its throttle lets pass had passed for this person (throttled)"
    assert [one.because for one in answer.chain[-2:]] == [
        f"skipped after 0 s: {sentence} until 2026-01-15T12:10:00+00:00",
        sentence,
    ]


def test_windows_that_ended_long_ago_are_forgotten(world: World) -> None:
    limited(world, "minutes=10")
    say(world, 0)
    world.settle()
    kept = []

    for ago in (store.KEEP + timedelta(minutes=10), store.KEEP + timedelta(minutes=10, microseconds=1)):
        world.clock.at = START + ago
        asyncio.run(sweep.sweep_rows(world.engine))
        kept.append(len(world.rows(sa.select(throttles))))

    assert kept == [1, 0]


# --- many, side by side -------------------------------------------------------------------------


def drawn_on_paper(minutes: Sequence[int], threshold: int) -> list[int]:
    """Who passes, where a window lasts ten minutes."""
    told: list[int] = []
    began, count = -10, 0
    for at in sorted(minutes):
        if at >= began + 10:
            began, count = at, 0
        count += 1
        told += [at] * (count <= threshold)
    return told


async def settled_by_two(world: World) -> None:
    """Two processes at work side by side."""
    await asyncio.gather(*(local.settle(engine) for engine in (world.engine, world.another())))
    await local.settle(world.engine)


def test_two_workers_together_let_no_more_pass_than_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "BATCH", 3)
    people = [f"p{number}" for number in range(10)]
    limited(world, "threshold=2, days=1")
    for _ in range(6):
        say(world, 0, who=random.Random(1).sample(people, len(people)))

    asyncio.run(settled_by_two(world))

    told = Counter(row.subscriber for row in world.notifications() if row.reason is None)
    assert told == dict.fromkeys(people, 2)
    assert {row.count for row in world.rows(sa.select(throttles))} == {2}


@given(minutes=st.lists(st.integers(0, 60), min_size=1, max_size=14), threshold=st.integers(1, 3), seed=st.integers(0))
@hypothesis.settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_whatever_the_batches_those_pass_who_would_on_paper(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, minutes: list[int], threshold: int, seed: int
) -> None:
    dice = random.Random(seed)
    monkeypatch.setattr(batch, "BATCH", dice.randint(1, 5))
    monkeypatch.setattr(match, "PAGE", 100)
    with World(tmp_path, url, environment=new_id()) as world:
        limited(world, 'threshold=n.payload["most"], minutes=10')
        world.people("ann")
        for until in (*sorted(dice.sample(range(60), 2)), 60):
            some = [at for at in minutes if at <= until]
            minutes = [at for at in minutes if at > until]
            say(world, *dice.sample(some, len(some)), most=threshold)
            world.at(START + timedelta(minutes=until))

        told = [row.ts for row in world.notifications() if row.reason is None]
        every = [int((row.ts - START).total_seconds() / 60) for row in world.notifications()]
        assert [int((ts - START).total_seconds() / 60) for ts in told] == drawn_on_paper(every, threshold)
        assert {row.status for row in world.notifications()} == {"completed"}


def test_it_takes_as_many_statements_for_a_hundred_people_as_for_one(world: World) -> None:
    limited(world, "minutes=10")
    counts = [_statements(world, [f"{size}p{number}" for number in range(size)]) for size in (1, 100)]

    assert counts[0] == counts[1]


def _statements(world: World, people: list[str]) -> int:
    said: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        said.append(statement)

    engine = world.engine.database.engines[-1]
    say(world, 0, who=people)
    event.listen(engine, "before_cursor_execute", note)
    world.settle()
    event.remove(engine, "before_cursor_execute", note)
    assert any("throttles" in statement for statement in said)
    return len([statement for statement in said if "throttles" in statement or "steps" in statement])
