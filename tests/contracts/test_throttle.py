"""Throttles on both databases: who passes, and who ends there."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from notify.engine import batch, sweep
from notify.store.tables import throttles
from tests.contracts.throttle_world import limited, passed, say
from tests.world import START, World, migrated, on_one_database


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        made.people("ann", "bob")
        yield made


# --- a fixed window -----------------------------------------------------------------------------


def test_who_comes_over_the_cap_ends_there(world: World) -> None:
    limited(world, "threshold=2, minutes=10")
    for minutes in (0, 1, 2, 9):
        world.clock.at = START + timedelta(minutes=minutes)
        say(world, minutes)
        world.settle()

    assert world.statuses() == [("completed", None)] * 2 + [("completed", "throttled")] * 2
    assert world.told() == {("hello", "sent"): 2}
    assert world.module().calls == [None, None]


def test_the_window_begins_with_the_first_that_passes_and_is_renewed_by_nobody(world: World) -> None:
    limited(world, "minutes=10")
    for minutes in (0, 4, 8, 9.9, 10, 14, 19.9, 20, 45, 54):
        say(world, minutes)
        world.at(START + timedelta(minutes=minutes))

    assert passed(world) == [0, 10, 20, 45]


def test_a_backlog_is_throttled_as_it_would_have_been_live(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "BATCH", 2)
    limited(world, "threshold=2, minutes=10")
    say(world, 0, 4, 8, 9.9, 10, 11, 19.9, 20, 45)

    world.advance(days=30)

    assert passed(world) == [0, 4, 10, 11, 20, 45]


def test_who_is_brought_late_belongs_to_the_windows_of_its_own_time(world: World) -> None:
    limited(world, "threshold=2, minutes=10")
    world.clock.at = START + timedelta(days=30)
    for minutes in (300, 100, 0, 101, 102, 9, 9.5, 91, 10):
        say(world, minutes)
        world.settle()
        asyncio.run(sweep.sweep_rows(world.engine))

    # 91 would have begun a window that the one of 100 lies in; that one was full.
    assert passed(world) == [0, 9, 10, 100, 101, 300]


def test_of_several_that_are_brought_late_the_next_belongs_to_the_window_the_first_began(world: World) -> None:
    limited(world, "threshold=2, minutes=10")
    world.clock.at = START + timedelta(days=1)
    for together in ((100, 101), (85, 92, 93)):
        say(world, *together)
        world.settle()

    assert passed(world) == [85, 92, 100, 101]


def test_people_workflows_steps_and_keys_have_windows_of_their_own(world: World) -> None:
    limited(world, 'minutes=10, **({"key": n.payload["key"]} if "key" in n.payload else {})')
    say(world, 0, 1, who=["ann", "bob"])
    for key in (0, 0, None, None, False, {"a": 1, "b": 2}, {"b": 2, "a": 1}, "x" * 10_000, "x" * 9_999 + "y"):
        say(world, 2, key=key)
    world.advance(minutes=2)

    found = Counter(row.key[:20] for row in world.rows(sa.select(throttles)) if row.subscriber == "ann")
    assert found == {"": 1, "0": 1, "null": 1, "false": 1, '{"a": 1, "b": 2}': 1, "x" * 20: 2}
    assert passed(world) == [0, 0] + [2] * 6


def test_days_go_by_the_calendar_of_the_person(world: World) -> None:
    world.people("cid", timezone="Europe/Rome")
    limited(world, "days=1")
    world.clock.at = START + timedelta(days=90)
    saturday = datetime(2026, 3, 28, 12, tzinfo=UTC)  # the night before the clocks go forward in Rome
    for hours in (0, 22.9, 23, 24):
        world.trigger("hello", ["ann", "cid"], at=saturday + timedelta(hours=hours))
    world.settle()

    told = [
        (row.subscriber, (row.ts - saturday) / timedelta(hours=1)) for row in world.notifications() if not row.reason
    ]
    assert sorted(told) == [("ann", 0), ("ann", 24), ("cid", 0), ("cid", 23)]


def test_it_holds_for_critical_workflows_too(world: World) -> None:
    limited(world, "minutes=10", critical=True)
    say(world, 0, 1)

    world.advance(minutes=1)

    assert world.statuses() == [("completed", None), ("completed", "throttled")]


def test_after_a_wait_it_is_the_end_of_the_wait_that_counts(world: World) -> None:
    source = """
    @workflow("hello")
    async def hello(n: Notification[dict[str, Any]]) -> None:
        await n.sleep("pause", minutes=n.payload["pause"])
        await n.throttle("limit", minutes=10)
    """
    world.workflow(source)
    say(world, 0, pause=1)
    say(world, 0, pause=10.9)
    say(world, 0, pause=11)
    world.settle()
    world.advance(hours=1)

    assert sorted(str(reason) for _, reason in world.statuses()) == ["nothing_sent", "nothing_sent", "throttled"]


# --- a window from the payload ------------------------------------------------------------------


@on_one_database
@pytest.mark.parametrize(
    ("until", "ends"),
    [
        ("30m", 30),
        ({"amount": 30, "unit": "minutes"}, 30),
        ("2026-01-15T13:00:00+01:00", 0),
        ("2026-01-15T13:30:00+01:00", 30),
        ("2026-01-15T12:30:00Z", 30),
    ],
)
def test_a_payload_may_say_how_long_a_window_is(world: World, until: Any, ends: int) -> None:
    limited(world, 'until=n.payload["until"]')
    say(world, 0, 29, 30, until=until)

    world.advance(minutes=30)

    failed = [row.error["message"] for row in world.notifications() if row.status == "failed"]
    if ends == 0:
        assert len(failed) == 3
    else:
        assert passed(world)[0] == 0
        assert (29 in passed(world), len(failed)) == (False, 1 if "T" in str(until) else 0)


@on_one_database
@pytest.mark.parametrize(
    ("until", "problem"),
    [
        (None, "None is no length of time"),
        ("soon", "'soon' is no length of time"),
        ({"amount": "many", "unit": "days"}, "is no length of time"),
        ({"amount": 0, "unit": "days"}, "is no wait"),
        ("999999999d", "over a hundred years"),
        ("2026-01-15T12:30:00", "has no zone"),
        ("2026-01-15T12:00:00Z", "2026-01-15T12:00:00+00:00 had passed"),
    ],
)
def test_a_window_that_makes_no_sense_fails_the_step_for_good(world: World, until: Any, problem: str) -> None:
    source = """
    @workflow("hello")
    async def hello(n: Notification[dict[str, Any]]) -> None:
        try:
            await n.throttle("limit", until=n.payload["until"])
        except StepFailed as error:
            calls.append(str(error))
        await n.sleep("pause", hours=1)
    """
    world.workflow(source)
    say(world, 0, until=until)
    world.settle()
    world.advance(hours=1)

    first, again = world.module().calls
    assert first == again
    assert first.startswith("Step 'limit' failed: until: ")
    assert problem in first
    assert 'a length such as "30m"' in first
    assert world.rows(sa.select(throttles)) == []


@on_one_database
@pytest.mark.parametrize("limit", ["", "threshold=0, minutes=1", "minutes=1, until='30m'", "minutes=-1"])
def test_a_throttle_that_says_nothing_or_two_things_fails_its_author(world: World, limit: str) -> None:
    limited(world, f"**dict({limit})")
    say(world, 0)
    world.settle()

    [row] = world.notifications()
    assert (row.status, row.error["name"]) == ("failed", "InvalidInput")
