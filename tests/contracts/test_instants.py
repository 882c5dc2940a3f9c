"""The next instant at which something is due, whatever it is: on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from notify.model import Channel, Outcome, OutcomeKind
from notify.store import instants
from tests.world import START, World, migrated

FLOWS = """
def who(event: Event) -> str:
    return event.data["who"]

@workflow("sleeps", on="it/began", to=who)
async def sleeps(n: Notification[dict[str, Any]]) -> None:
    await n.sleep("nap", minutes=40)
    await n.email("hello")

@workflow("collects", on="it/repeated", to=who)
async def collects(n: Notification[dict[str, Any]]) -> None:
    await n.digest("burst", minutes=20)
    await n.email("hello")

@workflow("daily", on="it/noted", to=who)
async def daily(n: Notification[dict[str, Any]]) -> None:
    await n.digest("day", at="13:10")
    await n.email("hello")

@workflow("tells")
async def tells(n: Notification[dict[str, Any]]) -> None:
    await n.email("hello")
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        made.workflow(FLOWS, *(f"{name}/hello.email" for name in ("sleeps", "collects", "daily", "tells")))
        made.people("ann")
        yield made


def after(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def upcoming(world: World) -> datetime | None:
    """The next instant, as the clock stands."""
    with world.notify.database.read() as connection:
        return instants.next_instant(connection, world.settings.environment, world.clock())


def ticking(world: World) -> list[str]:
    """The workflows that a tick would find something to close of."""
    with world.notify.database.read() as connection:
        return instants.due_at_a_tick(connection, world.settings.environment, world.clock())


def test_nothing_is_due_where_nothing_waits(world: World) -> None:
    world.trigger("tells", "ann")
    world.settle()

    assert upcoming(world) is None


def test_a_sleeper_a_window_a_held_event_and_a_retry_each_in_turn(world: World) -> None:
    world.providers[Channel.EMAIL].script = lambda _: Outcome(OutcomeKind.RETRY, retry_after=300)
    world.emit("it/began", {"who": "ann"})
    world.emit("it/repeated", {"who": "ann"})
    world.emit("it/began", {"who": "ann"}, ts=after(10))
    world.trigger("tells", "ann")

    stops: list[datetime] = []
    world.settle()
    world.providers[Channel.EMAIL].script = None
    while instant := upcoming(world):
        stops.append(instant)
        world.at(instant)

    assert stops == [after(5), after(10), after(20), after(40), after(50)]


def test_a_calendar_window_is_due_at_the_first_tick_that_finds_it(world: World) -> None:
    world.emit("it/noted", {"who": "ann"})
    world.settle()

    assert upcoming(world) == after(70)
    world.clock.at = after(69)
    assert ticking(world) == []
    world.clock.at = after(70)
    assert ticking(world) == ["daily"]


def test_a_calendar_window_that_was_missed_is_due_at_the_next_tick(world: World) -> None:
    world.emit("it/noted", {"who": "ann"})
    world.settle()

    world.clock.at = after(75)
    assert upcoming(world) == after(76)
    world.clock.at = after(75.5)
    assert upcoming(world) == after(76)


def test_another_environment_is_another_world(world: World) -> None:
    world.emit("it/began", {"who": "ann"})
    world.settle()

    with world.notify.database.read() as connection:
        assert instants.next_instant(connection, "elsewhere", world.clock()) is None
