"""Calendar digests on both databases: closed by the cron deployment of the digest, in the person's own zone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from notify.engine import catching_up, match
from notify.store import closing
from tests.world import START, World, migrated

NINE = datetime(2026, 1, 16, 9, tzinfo=UTC)

DAILY = """
@workflow("daily", on="it/happened", to=lambda event: event.data["who"])
async def daily(n: Notification[dict[str, Any]]) -> None:
    found = await n.digest("day", at="09:00", weekdays="{weekdays}")
    calls.append((n.subscriber.id, [one.payload["at"] for one in found.events]))
    await n.email("hello")
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        made.people("ann")
        yield made


def happen(world: World, minutes: int, who: str = "ann") -> None:
    """Something happened so many minutes after the start."""
    world.emit("it/happened", {"who": who, "at": minutes}, ts=START + timedelta(minutes=minutes))


def collected(world: World) -> list[list[int]]:
    """What each closed window held, in the order in which they were told."""
    return [call[-1] for call in world.module().calls]


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
    daily.clock.at = NINE
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
    daily.clock.at = NINE
    daily.tick("daily")

    assert closed == 1
    assert collected(daily) == [[10, 20], [0, 30]]


def test_a_digest_by_hand_reaches_everybody_however_many_have_only_older_news(
    daily: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closing, "WINDOWS", 2)
    for who in ("ann", "bob", "cid"):
        happen(daily, 0, who)
    happen(daily, 20, "zoe")
    daily.at(START + timedelta(minutes=30))

    assert daily.tick("daily", since=START + timedelta(minutes=10)) == 1


def test_a_tick_closes_everything_that_is_due_however_much_it_is(daily: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "WINDOWS", 2)
    for who in ("ann", "bob", "cid", "dan", "eve"):
        happen(daily, 0, who)
    daily.settle()

    daily.clock.at = NINE

    assert daily.tick("daily") == 5


@pytest.mark.parametrize("matched", [False, True])
def test_what_was_said_before_the_tick_is_told_by_it_although_nobody_had_come_to_it_yet(
    daily: World, matched: bool
) -> None:
    happen(daily, 60)
    daily.at(START + timedelta(hours=2))
    for minutes in (20 * 60, 20 * 60 + 59):
        happen(daily, minutes)
    daily.clock.at = NINE
    if matched:
        asyncio.run(match.match_page(daily.engine))

    assert daily.tick("daily") == 1
    assert collected(daily) == [[60, 20 * 60, 20 * 60 + 59]]


def test_a_digest_waits_no_longer_than_it_may_for_those_who_do_not_come(
    daily: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catching_up, "LONGEST", 0.0)
    happen(daily, 60)
    daily.at(START + timedelta(hours=2))
    happen(daily, 120)
    daily.clock.at = NINE

    assert daily.tick("daily") == 1
    assert collected(daily) == [[60]]


@pytest.mark.parametrize("already", [[], [21 * 60 + 5]])
def test_what_comes_too_late_for_a_digest_that_went_out_waits_for_the_next(daily: World, already: list[int]) -> None:
    """Told on Friday at nine; the next is on Monday, whoever else waits for it already."""
    happen(daily, 60)
    daily.at(NINE)
    daily.tick("daily")
    daily.clock.at = NINE + timedelta(minutes=10)
    for minutes in (*already, 20 * 60 + 50, 120):
        happen(daily, minutes)
        daily.settle()
    ticks = [daily.tick("daily") for daily.clock.at in (NINE + timedelta(hours=hours) for hours in (0.25, 24, 48))]
    daily.clock.at = NINE + timedelta(days=3)

    assert (ticks, daily.tick("daily")) == ([0, 0, 0], 1)
    assert collected(daily) == [[60], sorted([*already, 20 * 60 + 50, 120])]


def test_what_comes_too_late_is_told_at_the_next_tick_where_no_digest_went_out(daily: World) -> None:
    """As a history does that is brought in on the first day."""
    receipt = daily.emit("it/happened", {"who": "ann", "at": 0}, ts=START)
    daily.settle()
    daily.notify.cancel(receipt.transaction_id)
    daily.at(NINE)
    daily.tick("daily")
    daily.clock.at = NINE + timedelta(minutes=10)
    happen(daily, 60)
    daily.advance(minutes=5)

    assert daily.tick("daily") == 1
    assert collected(daily) == [[60]]


def test_who_joins_a_window_that_is_due_and_not_closed_yet_is_told_in_it(world: World) -> None:
    """Its end lies before what they bring from an earlier digest."""
    world.workflow("""
    @workflow("chain", on="it/happened", to=lambda event: event.data["who"])
    async def chain(n: Notification[dict[str, Any]]) -> None:
        await n.digest("some", minutes=15)
        found = await n.digest("more", at="18:00", timezone="UTC")
        calls.append([one.payload["at"] for one in found.events])
    """)
    told: list[str] = []
    for hours in (0, 6):
        world.clock.at = START + timedelta(hours=hours)
        told.append(world.emit("it/happened", {"who": "ann", "at": hours}).transaction_id)
        world.settle()
        world.advance(minutes=15)
    world.notify.cancel(told[0])

    assert (world.tick("chain"), world.module().calls) == (1, [[6]])
