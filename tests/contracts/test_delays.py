"""Delays on both databases: by the calendar of the person's place, to its next slot, and as the event asks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from notify.store.tables import steps
from tests.contracts.limits_world import limited, schedule
from tests.world import World, migrated, on_one_database

#: The evening before the clocks go forward in Rome.
EVENING = datetime(2026, 3, 28, 21, tzinfo=UTC)
LATER = """
@workflow("later")
async def later(n: Notification[dict[str, Any]]) -> None:
    calls.append(("waits", await n.{how}))
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param), at=EVENING) as made:
        made.people("ann", timezone="Europe/Rome")
        yield made


def begin(world: World, how: str, **payload: Any) -> None:
    world.workflow(LATER.format(how=how))
    world.trigger("later", "ann", payload)
    world.settle()


def wakes(world: World) -> datetime:
    [row] = world.notifications()
    assert row.status == "waiting"
    return row.wake_at


def utc(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


@on_one_database
@pytest.mark.parametrize(
    ("how", "instant"),
    [
        ('sleep("x", days=1)', "2026-03-29 20:00"),
        ('sleep("x", hours=24)', "2026-03-29 21:00"),
        ('sleep("x", weeks=1, hours=1)', "2026-04-04 21:00"),
        ('sleep("x", months=1)', "2026-04-28 20:00"),
        ('sleep_until("x", at="09:00")', "2026-03-29 07:00"),
        ('sleep_until("x", at="02:30")', "2026-03-29 01:00"),
        ('sleep_until("x", at="09:00", weekdays="mon-fri")', "2026-03-30 07:00"),
        ('sleep_until("x", every="month", at="09:00", month_days=-1)', "2026-03-31 07:00"),
        ('sleep_until("x", every="hour", past=30)', "2026-03-28 21:30"),
        ('sleep_until("x", cron="0 9 * * *")', "2026-03-29 09:00"),
        ('sleep_until("x", cron="0 9 * * *", timezone="subscriber")', "2026-03-29 07:00"),
        ('sleep_until("x", at="09:00", timezone="Asia/Kolkata")', "2026-03-29 03:30"),
    ],
)
def test_a_wait_follows_the_calendar_of_the_place_and_ends_at_its_instant(world: World, how: str, instant: str) -> None:
    begin(world, how)
    assert wakes(world) == utc(instant)

    world.at(utc(instant) - timedelta(microseconds=1))
    assert world.module().calls == []
    world.at(utc(instant))
    assert world.module().calls == [("waits", True)]


@on_one_database
@pytest.mark.parametrize(
    ("asked", "instant"),
    [
        ("2026-03-29T10:00:00+02:00", "2026-03-29 08:00"),
        ("2026-03-29T08:00:00Z", "2026-03-29 08:00"),
        (1_774_771_200_000, "2026-03-29 08:00"),
        ("1d", "2026-03-29 20:00"),
        ({"amount": 2, "unit": "hours"}, "2026-03-28 23:00"),
        ({"amount": 1, "unit": "month"}, "2026-04-28 20:00"),
        ({"days": 1, "hours": 1}, "2026-03-29 21:00"),
    ],
)
def test_a_delay_is_what_the_event_asks_for(world: World, asked: Any, instant: str) -> None:
    begin(world, 'delay("x", n.payload["when"])', when=asked)

    assert wakes(world) == utc(instant)
    world.at(utc(instant))
    assert world.module().calls == [("waits", True)]


@on_one_database
@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ("2026-03-28T10:00:00Z", "is past"),
        ("2026-03-29T10:00:00", "has no zone"),
        (5, "is past"),
        ("tomorrow", "is no length of time"),
        (None, "is no length of time"),
        ({"amount": -1, "unit": "hours"}, "positive"),
        ({"amount": 1, "unit": "fortnight"}, "is no length of time"),
        (1e300, "no instant"),
    ],
)
def test_a_delay_that_cannot_be_is_an_error_that_ends_the_body(world: World, asked: Any, problem: str) -> None:
    begin(world, 'delay("x", n.payload["when"])', when=asked)

    [row] = world.notifications()
    assert row.status == "failed"
    assert "delay('x')" in row.error["message"]
    assert problem in row.error["message"]
    assert world.module().calls == []
    assert [one.state for one in world.rows(sa.select(steps.c.state))] == ["failed"]


HOURS = {
    "isEnabled": True,
    "weeklySchedule": {"monday": {"isEnabled": True, "hours": [{"start": "09:00 AM", "end": "05:00 PM"}]}},
}


@on_one_database
@pytest.mark.parametrize(
    "how",
    [
        'sleep("x", hours=1, extend_to_schedule=True)',
        'delay("x", "1h", extend_to_schedule=True)',
        'sleep_until("x", at="06:00", extend_to_schedule=True)',
    ],
)
def test_a_wait_may_go_on_until_the_person_s_hours_are_open(world: World, how: str) -> None:
    world.notify.subscribers.schedule("ann", HOURS)
    begin(world, how)

    assert wakes(world) == utc("2026-03-30 07:00")


def test_a_digest_may_wait_for_the_person_s_hours(world: World) -> None:
    world.notify.subscribers.schedule("ann", HOURS)
    begin(world, 'digest("x", minutes=15, extend_to_schedule=True)')
    world.at(EVENING + timedelta(minutes=15))

    assert wakes(world) == utc("2026-03-30 07:00")
    world.at(utc("2026-03-30 07:00"))
    [(_, burst)] = world.module().calls
    assert burst.total == 1


@pytest.mark.parametrize("how", ['sleep("x", hours=1, {})', 'digest("x", minutes=15, {})'])
def test_a_wait_may_go_on_until_the_usual_hours_are_open(world: World, how: str) -> None:
    limited(world, "", schedule="mon 09:00-17:00")
    begin(world, how.format("extend_to_schedule=True"))
    world.at(EVENING + timedelta(minutes=15))

    assert wakes(world) == utc("2026-03-30 07:00")


def test_hours_that_cannot_be_read_hold_up_nobody(world: World, caplog: pytest.LogCaptureFixture) -> None:
    schedule(world, {"caturday": "09:00-17:00"})
    begin(world, 'sleep("x", hours=1, extend_to_schedule=True)')

    assert wakes(world) == EVENING + timedelta(hours=1)
    assert "ann is told at any hour" in caplog.text


def test_who_has_no_hours_is_not_held_up(world: World) -> None:
    begin(world, 'sleep("x", hours=1, extend_to_schedule=True)')

    assert wakes(world) == EVENING + timedelta(hours=1)
