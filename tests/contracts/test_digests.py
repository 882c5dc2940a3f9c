"""Digests on both databases: what shares a window, who carries on, and when a calendar digest closes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st

from notify.engine import batch, local, match
from notify.model import new_id
from notify.store.tables import windows
from tests.world import START, World, migrated

BURST = """
@workflow("burst", on="it/happened", to=lambda event: event.data["who"])
async def burst(n: Notification[dict[str, Any]]) -> None:
    found = await n.digest("some", minutes=15, key=n.payload["key"])
    calls.append((n.subscriber.id, n.payload["key"], [one.payload["at"] for one in found.events]))
    await n.email("hello")
"""
DAILY = """
@workflow("daily", on="it/happened", to=lambda event: event.data["who"])
async def daily(n: Notification[dict[str, Any]]) -> None:
    found = await n.digest("day", at="09:00", weekdays="{weekdays}")
    calls.append((n.subscriber.id, [one.payload["at"] for one in found.events]))
    await n.email("hello")
"""
Happened = tuple[str, str, int]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    return migrated(request, request.param)


@pytest.fixture
def world(tmp_path: Path, url: str) -> Iterator[World]:
    with World(tmp_path, url) as made:
        made.people("ann", "bob")
        made.workflow(BURST, "burst/hello.email")
        yield made


def happen(world: World, minutes: int, who: str = "ann", key: str = "") -> str:
    """Something happened so many minutes after the start; answers its transaction id."""
    data = {"who": who, "key": key, "at": minutes}
    return world.emit("it/happened", data, ts=START + timedelta(minutes=minutes)).transaction_id


def collected(world: World) -> list[list[int]]:
    """What each closed window held, in the order in which they were told."""
    return [call[-1] for call in world.module().calls]


# --- fixed windows ------------------------------------------------------------------------------


def test_a_window_runs_from_its_first_event_and_an_item_at_the_end_opens_the_next(world: World) -> None:
    for minutes in (0, 14, 15, 29):
        world.clock.at = START + timedelta(minutes=minutes)
        happen(world, minutes)
        world.settle()

    assert collected(world) == [[0, 14]]
    world.at(START + timedelta(minutes=30))
    assert collected(world) == [[0, 14], [15, 29]]


def test_a_window_closes_at_its_end_and_not_before(world: World) -> None:
    happen(world, 0)
    world.settle()

    world.advance(minutes=15, microseconds=-1)
    assert collected(world) == []

    world.advance(microseconds=1)
    assert collected(world) == [[0]]


def test_a_backlog_is_digested_as_it_would_have_been_live(world: World) -> None:
    for minutes in (0, 14, 15, 29, 30, 44):
        happen(world, minutes)

    world.at(START + timedelta(minutes=59))

    assert collected(world) == [[0, 14], [15, 29], [30, 44]]


def test_one_carries_on_with_all_and_the_others_point_at_the_window(world: World) -> None:
    for minutes in (0, 3, 7):
        happen(world, minutes)
    world.at(START + timedelta(minutes=15))

    first, *others = world.notifications()
    [window] = world.rows(sa.select(windows))

    assert (first.status, window.carrier, window.items) == ("completed", first.id, 3)
    assert [(one.status, one.reason, one.window) for one in others] == [("merged", "merged_into_digest", window.id)] * 2
    assert world.told() == {("burst", "sent"): 1}


def test_people_and_keys_have_windows_of_their_own(world: World) -> None:
    for who, key in (("ann", "a"), ("ann", "b"), ("bob", "a")):
        happen(world, 0, who, key)
    world.at(START + timedelta(minutes=15))

    assert sorted(world.module().calls) == [("ann", "a", [0]), ("ann", "b", [0]), ("bob", "a", [0])]


def test_a_cancelled_member_takes_its_item_along(world: World) -> None:
    first = happen(world, 0)
    happen(world, 3)
    world.at(START + timedelta(minutes=5))

    world.notify.cancel(first)
    world.at(START + timedelta(minutes=15))

    assert collected(world) == [[3]]
    assert [row.status for row in world.notifications()] == ["cancelled", "completed"]


def test_an_empty_window_sends_nothing(world: World) -> None:
    only = happen(world, 0)
    world.settle()

    world.notify.cancel(only)
    world.at(START + timedelta(days=1))

    assert [(row.state, row.carrier) for row in world.rows(sa.select(windows))] == [("empty", None)]
    assert world.messages() == []


# --- whatever the order -------------------------------------------------------------------------


def expected(happened: Sequence[Happened]) -> list[tuple[str, str, list[int]]]:
    """The windows as one would draw them on paper."""
    found: list[tuple[str, str, list[int]]] = []
    for place in {(who, key) for who, key, _ in happened}:
        open_: list[int] = []
        for minutes in sorted(at for who, key, at in happened if (who, key) == place):
            if open_ and minutes >= open_[0] + 15:
                found.append((*place, open_))
                open_ = []
            open_ = [*open_, minutes]
        found.append((*place, open_))
    return sorted(found)


async def settled_by_two(world: World, dice: random.Random) -> None:
    """Two processes at work side by side."""
    engines = [world.engine, world.another()]
    dice.shuffle(engines)
    await asyncio.gather(*(local.settle(engine) for engine in engines))
    await local.settle(world.engine)


HAPPENED = st.lists(
    st.tuples(st.sampled_from(["ann", "bob"]), st.sampled_from("xy"), st.integers(0, 90)), min_size=1, max_size=14
)


@given(happened=HAPPENED, seed=st.integers(0, 2**32), withdrawn=st.sampled_from([0.0, 0.3]))
@hypothesis.settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_items_are_events_less_withdrawn_ones_and_windows_are_those_drawn_on_paper(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, happened: list[Happened], seed: int, withdrawn: float
) -> None:
    monkeypatch.setattr(batch, "BATCH", 3)
    monkeypatch.setattr(match, "PAGE", 5)
    dice, environment = random.Random(seed), new_id()
    with World(tmp_path, url, environment=environment) as world:
        world.workflow(BURST, "burst/hello.email")
        world.people("ann", "bob")
        gone, before = 0, -1
        for until in (*sorted(dice.sample(range(90), 2)), 90, 200):
            world.clock.at = START + timedelta(minutes=until)
            arriving = [one for one in happened if before < one[2] <= until]
            for who, key, at in dice.sample(arriving, len(arriving)):
                urgency = dice.choice(["low", "critical"])  # so that they join in another order than they happened
                then = START + timedelta(minutes=at)
                world.trigger("burst", who, {"key": key, "at": at}, at=then, priority=urgency)
            asyncio.run(settled_by_two(world, dice))
            waiting = [row for row in world.notifications() if row.status == "waiting" and dice.random() < withdrawn]
            gone += sum(world.notify.cancel(row.transaction_id) for row in waiting)
            before = until

        mine = windows.c.environment == environment
        items = world.rows(sa.select(windows.c.state, windows.c.items, windows.c.carrier).where(mine))
        assert sum(row.items or 0 for row in items) == len(happened) - gone
        assert {row.state for row in items} <= {"closed", "empty"}
        carriers = {row.id for row in world.notifications() if row.status == "completed"}
        assert {row.carrier for row in items if row.carrier} == carriers
        if not gone:
            assert sorted(world.module().calls) == expected(happened)


# --- calendar digests ---------------------------------------------------------------------------


@pytest.fixture
def daily(world: World) -> World:
    world.workflow(DAILY.format(weekdays="mon-fri"), "daily/hello.email")
    return world


def tick(world: World, instant: datetime) -> int:
    """What the quarter hours before this instant, and then the instant itself, close."""
    for quarters in (3, 2, 1):
        world.clock.at = instant - timedelta(minutes=15 * quarters)
        assert world.tick("daily") == 0
    world.clock.at = instant
    world.settle()
    assert world.messages() == [], "only the tick itself closes"
    return world.tick("daily")


@pytest.mark.parametrize(
    ("zone", "happened", "closes"),
    [
        ("Europe/Berlin", datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 3, 29, 7, tzinfo=UTC)),  # 23 hours
        ("Europe/Berlin", datetime(2026, 10, 24, 12, tzinfo=UTC), datetime(2026, 10, 25, 8, tzinfo=UTC)),  # 25 hours
        ("Asia/Kolkata", datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 3, 29, 3, 30, tzinfo=UTC)),
        ("Asia/Kathmandu", datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 3, 29, 3, 15, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 3, 28, 13, tzinfo=UTC), datetime(2026, 3, 29, 13, tzinfo=UTC)),
        ("No/Where", datetime(2026, 3, 28, 8, 59, tzinfo=UTC), datetime(2026, 3, 28, 9, tzinfo=UTC)),
    ],
)
def test_a_calendar_digest_closes_at_nine_in_the_persons_own_zone(
    world: World, zone: str, happened: datetime, closes: datetime
) -> None:
    world.workflow(DAILY.format(weekdays="mon-sun"), "daily/hello.email")
    world.people("ann", timezone=zone)
    world.clock.at = happened
    world.emit("it/happened", {"who": "ann", "at": 1})
    world.settle()

    assert tick(world, closes) == 1
    assert world.told() == {("daily", "sent"): 1}


@pytest.mark.parametrize(
    ("zone", "happened", "closes"),
    [
        ("Europe/Berlin", datetime(2026, 3, 27, 8, 30, tzinfo=UTC), datetime(2026, 3, 30, 7, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2026, 10, 23, 12, tzinfo=UTC), datetime(2026, 10, 26, 8, tzinfo=UTC)),
        ("Africa/Cairo", datetime(2026, 4, 23, 12, tzinfo=UTC), datetime(2026, 4, 24, 6, tzinfo=UTC)),
        ("Africa/Cairo", datetime(2026, 10, 29, 12, tzinfo=UTC), datetime(2026, 10, 30, 7, tzinfo=UTC)),
    ],
    ids=["weekend of 23 hours", "weekend of 25 hours", "Friday of 23 hours", "Thursday of 25 hours"],
)
def test_a_digest_on_weekdays_closes_on_the_next_weekday(
    daily: World, zone: str, happened: datetime, closes: datetime
) -> None:
    daily.people("ann", timezone=zone)
    daily.clock.at = happened
    daily.emit("it/happened", {"who": "ann", "at": 1})
    daily.settle()

    assert tick(daily, closes) == 1
    assert collected(daily) == [[1]]


def test_two_ticks_at_once_and_a_late_one_send_once(daily: World) -> None:
    for hours in (1, 2, 3):
        happen(daily, 60 * hours)
    daily.at(START + timedelta(hours=4))
    daily.clock.at = datetime(2026, 1, 16, 9, tzinfo=UTC)
    other = daily.another()

    async def both() -> list[int]:
        return list(await asyncio.gather(daily.ticking(daily.engine, "daily"), daily.ticking(other, "daily")))

    closed = asyncio.run(both())
    daily.clock.advance(timedelta(minutes=15))

    assert sorted(closed) == [0, 1]
    assert daily.tick("daily") == 0
    assert collected(daily) == [[60, 120, 180]]
    assert daily.told() == {("daily", "sent"): 1}


def test_a_digest_by_hand_takes_what_happened_between_since_and_until_and_leaves_the_rest(daily: World) -> None:
    for minutes in (0, 10, 20, 30):
        happen(daily, minutes)
    daily.at(START + timedelta(minutes=40))

    closed = daily.tick("daily", since=START + timedelta(minutes=10), until=START + timedelta(minutes=30))
    daily.clock.at = datetime(2026, 1, 16, 9, tzinfo=UTC)
    daily.tick("daily")

    assert closed == 1
    assert collected(daily) == [[10, 20], [0, 30]]


def test_a_digest_by_hand_reaches_everybody_however_many_have_only_older_news(daily: World) -> None:
    many = [f"p{number}" for number in range(1000)]
    daily.emit("it/happened", {"who": many, "at": 0}, ts=START)
    daily.emit("it/happened", {"who": "zoe", "at": 20}, ts=START + timedelta(minutes=20))
    daily.at(START + timedelta(minutes=30))

    assert daily.tick("daily", since=START + timedelta(minutes=10)) == 1
