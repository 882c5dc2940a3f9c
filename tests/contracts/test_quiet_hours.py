"""Quiet hours on both databases: what comes outside a person's hours is held until they begin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from notify.model import Channel
from notify.settings import Settings
from tests.contracts.limits_world import NIGHT, OFFICE, OPENING, by_channel, decided, email, hello, schedule
from tests.world import START, World, migrated


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param), at=NIGHT) as made:
        made.people("ann")
        schedule(made, OFFICE)
        yield made


# --- holding ------------------------------------------------------------------------------------


def test_what_comes_at_night_is_held_until_the_morning_and_the_inbox_has_it_at_once(world: World) -> None:
    hello(world)
    world.trigger("hello", "ann")
    world.settle()

    held = ("held", "quiet_hours")
    assert by_channel(world) == {"in_app": ("delivered", None), "email": held, "push": held}
    assert decided(world) == [("delivered", None, None), (*held, OPENING), (*held, OPENING)]
    assert (email(world).next_attempt_at, email(world).claim, email(world).content["subject"]) == (
        OPENING,
        None,
        "hello",
    )

    world.at(OPENING - timedelta(microseconds=1))
    assert by_channel(world)["email"] == held

    world.at(OPENING)
    assert by_channel(world) == {"in_app": ("delivered", None), "email": ("sent", None), "push": ("sent", None)}
    assert len(world.providers[Channel.EMAIL].to("ann")) == 1


def test_within_the_hours_nothing_is_held(world: World) -> None:
    hello(world)
    world.clock.at = START
    world.trigger("hello", "ann")
    world.settle()

    assert {status for status, _ in by_channel(world).values()} == {"delivered", "sent"}


@pytest.mark.parametrize("options", [", critical=True", ', priority="critical"'])
def test_what_is_critical_is_never_held(world: World, options: str) -> None:
    hello(world, options)
    world.trigger("hello", "ann")
    world.settle()

    assert {status for status, _ in by_channel(world).values()} == {"delivered", "sent"}


def test_what_is_merely_urgent_is_held(world: World) -> None:
    hello(world, ', priority="high"')
    world.trigger("hello", "ann")
    world.settle()

    assert by_channel(world)["email"] == ("held", "quiet_hours")


@pytest.mark.parametrize(
    "hours",
    [None, {"isEnabled": False, "weeklySchedule": {}}, {"mon-fri": "nine to five"}, ["mon"], {"isEnabled": True}],
    ids=["none", "switched off", "nonsense", "no object", "never open"],
)
def test_somebody_without_hours_that_mean_something_is_told_at_any_time(world: World, hours: Any) -> None:
    hello(world)
    schedule(world, hours)
    world.trigger("hello", "ann")
    world.settle()

    assert by_channel(world)["email"] == ("sent", None)


def test_hours_follow_the_clocks_where_the_person_lives(world: World) -> None:
    hello(world)
    world.people("ann", timezone="Europe/Rome")
    schedule(world, {"isEnabled": True, "weeklySchedule": {"sunday": _day("02:30 AM", "05:00 AM")}})
    world.clock.at = datetime(2026, 3, 28, 12, tzinfo=UTC)
    world.trigger("hello", "ann")
    world.settle()

    # 02:30 is skipped on 29 March: the hours begin when the clocks show three.
    assert email(world).next_attempt_at == datetime(2026, 3, 29, 1, tzinfo=UTC)
    world.at(datetime(2026, 3, 29, 1, tzinfo=UTC))
    assert by_channel(world)["email"] == ("sent", None)


def test_nine_in_the_morning_comes_an_hour_earlier_after_the_change_of_the_clocks(world: World) -> None:
    hello(world)
    world.people("ann", timezone="Europe/Rome")
    schedule(world, {"mon-sun": "09:00-18:00"})
    openings: list[datetime] = []
    for day in (27, 28):
        world.clock.at = datetime(2026, 3, day, 22, tzinfo=UTC)
        world.trigger("hello", "ann", transaction_id=str(day))
        world.settle()
        openings += [row.next_attempt_at for row in world.messages() if row.channel == "email" and row.status == "held"]
        world.at(openings[-1])

    assert openings == [datetime(2026, 3, 28, 8, tzinfo=UTC), datetime(2026, 3, 29, 7, tzinfo=UTC)]
    assert world.told() == {("hello", "delivered"): 2, ("hello", "sent"): 4}


def _day(start: str, end: str) -> dict[str, Any]:
    return {"isEnabled": True, "hours": [{"start": start, "end": end}]}


@pytest.mark.parametrize("usual", ["mon-fri 09:00-18:00", '{"mon-fri": "09:00-18:00"}'], ids=["short", "JSON"])
def test_the_usual_hours_are_those_of_whoever_set_none(world: World, usual: str) -> None:
    world.people("bob")
    schedule(world, {"isEnabled": False})
    read = Settings.from_env({"NOTIFY_SCHEDULE": usual})
    world.settings = replace(world.settings, schedule=read.schedule)
    world.restart()
    hello(world)
    world.trigger("hello", ["ann", "bob"])
    world.settle()

    emails = {row.subscriber: row.next_attempt_at for row in world.messages() if row.channel == "email"}
    assert emails == {"ann": None, "bob": OPENING}
