"""Digests that debounce, look back, fill up or follow one another, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from notify.store.tables import notifications, steps
from tests.world import START, World, migrated

MODE = """
@workflow("burst", on="it/happened", to=lambda event: event.data["who"])
async def burst(n: Notification[dict[str, Any]]) -> None:
    found = await n.digest("some", key=n.payload.get("key", ""), {how})
    calls.append([one.payload["at"] for one in found.events])
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        made.people("ann", "bob")
        yield made


def happen(world: World, *minutes: float, **data: Any) -> list[str]:
    """Something happened so many minutes after the start, told in this order; answers the transaction ids."""
    return [
        world.emit("it/happened", {"who": "ann", "at": at} | data, ts=START + timedelta(minutes=at)).transaction_id
        for at in minutes
    ]


def live(world: World, *minutes: float) -> None:
    """The same, each at its instant."""
    for at in minutes:
        world.clock.at = START + timedelta(minutes=at)
        happen(world, at)
        world.settle()


def until(world: World, minutes: float) -> list[list[int]]:
    """What each closed window held by then, in the order in which they were told."""
    world.at(START + timedelta(minutes=minutes))
    return list(world.module().calls)


# --- until nothing comes any more ---------------------------------------------------------------

DEBOUNCE = MODE.format(how='debounce="15m", max_wait="1h"')


def test_a_debounce_waits_until_nothing_came_for_so_long(world: World) -> None:
    world.workflow(DEBOUNCE)
    live(world, 0, 10, 24)

    assert until(world, 38.9) == []
    assert until(world, 39) == [[0, 10, 24]]


def test_a_busy_thread_is_told_after_the_maximum_and_what_comes_then_opens_the_next(world: World) -> None:
    world.workflow(DEBOUNCE)
    live(world, *range(0, 75, 5))

    assert world.module().calls == [[*range(0, 60, 5)]]
    assert until(world, 85) == [[*range(0, 60, 5)], [60, 65, 70]]


@pytest.mark.parametrize("told", [(0, 5, 10, 40, 42, 58, 59), (59, 42, 5, 58, 0, 40, 10)])
def test_a_backlog_is_debounced_as_it_would_have_been_live(world: World, told: tuple[int, ...]) -> None:
    world.workflow(DEBOUNCE)
    world.clock.at = START + timedelta(hours=5)
    happen(world, *told)

    assert until(world, 300) == [[0, 5, 10], [40, 42], [58, 59]]


# --- after a quiet time at once -----------------------------------------------------------------

LOOKBACK = MODE.format(how='minutes=15, lookback="20m"')


def test_what_comes_after_a_quiet_time_passes_at_once_and_what_follows_it_is_collected(world: World) -> None:
    world.workflow(LOOKBACK)
    live(world, 0, 5, 12)

    assert world.module().calls == [[0]]
    assert until(world, 19) == [[0]]
    assert until(world, 20) == [[0], [5, 12]]

    live(world, 31, 60)
    assert until(world, 60) == [[0], [5, 12], [31], [60]]


def test_one_that_passed_is_marked_so(world: World) -> None:
    world.workflow(LOOKBACK)
    live(world, 0, 5)
    until(world, 30)

    states = world.rows(sa.select(steps.c.state).order_by(steps.c.started_at))
    assert [row.state for row in states] == ["skipped", "completed"]


def test_a_backlog_looks_back_as_it_would_have_live(world: World) -> None:
    world.workflow(LOOKBACK)
    world.clock.at = START + timedelta(hours=5)
    happen(world, 60, 12, 5, 0)

    assert until(world, 300) == [[0], [5, 12], [60]]


# --- full ---------------------------------------------------------------------------------------


def test_a_full_window_closes_at_once_and_the_next_event_opens_another(world: World) -> None:
    world.workflow(MODE.format(how="minutes=15, capacity=3"))
    live(world, 0, 1)
    assert world.module().calls == []

    live(world, 2, 3)
    assert world.module().calls == [[0, 1, 2]]
    assert until(world, 17.9) == [[0, 1, 2]]
    assert until(world, 18) == [[0, 1, 2], [3]]


def test_a_backlog_fills_windows_in_order(world: World) -> None:
    world.workflow(MODE.format(how="minutes=15, capacity=3"))
    world.clock.at = START + timedelta(hours=1)
    happen(world, 4, 3, 2, 1, 0)

    assert until(world, 60) == [[0, 1, 2], [3, 4]]


def test_a_withdrawn_event_makes_room(world: World) -> None:
    world.workflow(MODE.format(how="minutes=15, capacity=3"))
    first, _ = happen(world, 0, 1)
    world.settle()
    world.notify.cancel(first)
    live(world, 2)
    assert world.module().calls == []

    live(world, 3)
    assert world.module().calls == [[1, 2, 3]]


# --- keys and changes ---------------------------------------------------------------------------


def test_nought_and_nothing_and_false_are_keys(world: World) -> None:
    world.workflow(MODE.format(how="minutes=15"))
    for at, key in enumerate((0, "", None, False, [1, "a"], {"b": 1, "a": 2}, {"a": 2, "b": 1})):
        happen(world, at, key=key)

    assert sorted(until(world, 60)) == [[0], [1], [2], [3], [4], [5, 6]]


def test_an_open_window_keeps_the_length_it_was_opened_with(world: World) -> None:
    world.workflow(MODE.format(how="minutes=15"))
    live(world, 5)
    world.workflow(MODE.format(how="minutes=60"))
    happen(world, 3)
    live(world, 6)

    assert until(world, 17.9) == []
    assert until(world, 18) == [[3, 5, 6]]
    live(world, 19)
    assert until(world, 78) == [[3, 5, 6]]
    assert until(world, 79)[1:] == [[19]]


# --- one after the other ------------------------------------------------------------------------


def test_a_digest_of_digests_holds_every_event_and_counts_from_the_end_of_the_first(world: World) -> None:
    world.workflow("""
    @workflow("burst", on="it/happened", to=lambda event: event.data["who"])
    async def burst(n: Notification[dict[str, Any]]) -> None:
        first = await n.digest("quarter", minutes=15)
        second = await n.digest("hours", minutes=60)
        calls.append(([one.payload["at"] for one in first.events], [one.payload["at"] for one in second.events]))
    """)
    live(world, 0, 3, 20, 22, 40)

    assert until(world, 74.9) == []
    assert until(world, 75) == [([0, 3], [0, 3, 20, 22, 40])]
    rows = world.rows(sa.select(notifications.c.status))
    assert sorted(row.status for row in rows) == ["completed"] + ["merged"] * 4


def test_one_event_of_several_cannot_end_what_a_digest_carries_into_the_next(world: World) -> None:
    world.workflow("""
    @workflow("burst", on="it/happened", to=lambda event: event.data["who"])
    async def burst(n: Notification[dict[str, Any]]) -> None:
        await n.digest("quarter", minutes=15)
        second = await n.digest("hours", minutes=60)
        calls.append([one.payload["at"] for one in second.events])
    """)
    first, _ = happen(world, 0, 3)
    world.at(START + timedelta(minutes=20))

    assert world.notify.cancel(first) == 0
    assert until(world, 75) == [[0, 3]]


def test_a_digest_after_a_wait_counts_from_its_end(world: World) -> None:
    world.workflow("""
    @workflow("burst", on="it/happened", to=lambda event: event.data["who"])
    async def burst(n: Notification[dict[str, Any]]) -> None:
        await n.sleep("first", hours=2)
        found = await n.digest("quarter", minutes=15)
        calls.append([one.payload["at"] for one in found.events])
    """)
    live(world, 0, 3)

    assert until(world, 134) == []
    assert until(world, 135) == [[0, 3]]
