"""Instants out of all reach, on both databases: whoever names one fails alone, and everybody else is told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from notify.errors import InvalidEvent
from tests.world import START, World, migrated, on_one_database

FAR = [
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-05:00",
    "9999-12-31T23:59:59+14:00",
    "2999-01-01T00:00:00Z",
]
LONG_PAST = ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00-05:00"]
WAITS = """
@workflow("waits")
async def waits(n: Notification[dict[str, Any]]) -> None:
    until = n.payload["until"]
    calls.append((n.subscriber.id, await n.{how}))
"""
UNTIL = 'sleep_until("w", datetime.fromisoformat(until){options})'
DELAY = 'delay("w", until{options})'
EXTENDED = ", extend_to_schedule=True"


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        made.people("ann", "bob", timezone="Asia/Tokyo")
        made.notify.subscribers.schedule("ann", {"mon-sun": "09:00-17:00"})
        yield made


def begin(world: World, how: str, until: str, bystander: str) -> None:
    world.workflow(WAITS.format(how=how))
    world.trigger("waits", "ann", {"until": until})
    world.trigger("waits", "bob", {"until": bystander})
    world.settle()
    world.advance(hours=1)


def problems(world: World) -> dict[str, str]:
    return {row.subscriber: row.error["message"] for row in world.notifications() if row.status == "failed"}


@on_one_database
@pytest.mark.parametrize("options", ["", EXTENDED])
@pytest.mark.parametrize("how", [DELAY, UNTIL])
@pytest.mark.parametrize("until", FAR)
def test_a_wait_without_end_fails_its_own_step_alone(world: World, how: str, options: str, until: str) -> None:
    begin(world, how.format(options=options), until, "2026-01-15T13:00:00Z")

    assert world.module().calls == [("bob", True)]
    [(who, problem)] = problems(world).items()
    assert who == "ann"
    assert f"{how.partition('(')[0]}('w')" in problem
    assert "over a hundred years" in problem


@on_one_database
@pytest.mark.parametrize("options", ["", EXTENDED])
@pytest.mark.parametrize("until", LONG_PAST)
def test_a_wait_until_long_ago_is_over(world: World, options: str, until: str) -> None:
    begin(world, UNTIL.format(options=options), until, "2026-01-15T13:00:00Z")

    assert world.module().calls == [("ann", False), ("bob", True)]


@on_one_database
@pytest.mark.parametrize("until", LONG_PAST)
def test_a_delay_until_long_ago_is_past(world: World, until: str) -> None:
    begin(world, DELAY.format(options=EXTENDED), until, "1h")

    assert world.module().calls == [("bob", True)]
    assert f"{until[:19]}" in problems(world)["ann"]
    assert "is past" in problems(world)["ann"]


@on_one_database
def test_the_farthest_wait_is_kept(world: World) -> None:
    begin(world, DELAY.format(options=EXTENDED), "2126-01-01T03:00:00Z", "1200 months 36600 days 878400 hours")

    assert [row.wake_at.year for row in world.notifications()] == [2126, 2326]


@on_one_database
@pytest.mark.parametrize(("until", "problem"), [*((far, "hundred years") for far in FAR), (LONG_PAST[1], "had passed")])
def test_a_throttle_without_end_fails_its_own_step_alone(world: World, until: str, problem: str) -> None:
    begin(world, 'throttle("w", until=until)', until, "1h")

    assert [who for who, _ in world.module().calls] == ["bob"]
    assert problem in problems(world)["ann"]


@on_one_database
@pytest.mark.parametrize("text", [*FAR, *LONG_PAST])
def test_nothing_happens_out_of_all_reach(world: World, text: str) -> None:
    world.workflow(WAITS.format(how='digest("w", minutes=15, lookback="20m")'))
    instant: Any = datetime.fromisoformat(text)
    for say in (
        lambda: world.emit("it/happened", ts=instant),
        lambda: world.trigger("waits", "ann", {"until": ""}, at=instant),
    ):
        with pytest.raises(InvalidEvent, match="over a hundred years") as caught:
            say()
        assert caught.value.field in ("ts", "at")


def test_what_was_said_just_within_reach_holds_up_nobody(world: World) -> None:
    world.workflow(WAITS.format(how='digest("w", minutes=15, lookback="36600d")'))
    for who, year in (("ann", 1926), ("ann", 2125), ("bob", 2026)):
        world.trigger("waits", who, {"until": ""}, at=datetime(year, 1, 16, tzinfo=UTC) if year != 2026 else START)
    world.settle()
    world.advance(hours=1)

    assert sorted(who for who, _ in world.module().calls) == ["ann", "bob"]
