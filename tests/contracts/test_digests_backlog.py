"""Digests of a worker that was away, or is late, on both databases: what it would have told live, and when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.world import START, World, migrated

BURST = """
@workflow("burst", on="it/happened", to=lambda event: event.data["who"])
async def burst(n: Notification[dict[str, Any]]) -> None:
    found = await n.digest("some", {how})
    calls.append((n.subscriber.id, [one.payload["at"] for one in found.events]))
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        made.people("ann", "bob")
        yield made


def happen(world: World, *minutes: int, who: str = "ann", **data: str) -> list[str]:
    """Something happened so many minutes after the start; answers the transaction ids."""
    return [
        world.emit("it/happened", {"who": who, "at": at} | data, ts=START + timedelta(minutes=at)).transaction_id
        for at in minutes
    ]


def at(world: World, minutes: int) -> None:
    world.at(START + timedelta(minutes=minutes))


def test_an_event_long_after_one_that_was_withdrawn_waits_its_own_time(world: World) -> None:
    world.workflow(BURST.format(how='debounce="15m", max_wait="40m"'))
    [gone] = happen(world, 0)
    world.settle()
    world.notify.cancel(gone)
    happen(world, 60)
    happen(world, 10, who="bob")
    at(world, 60)
    assert world.module().calls == [("bob", [10])]

    at(world, 75)
    assert world.module().calls == [("bob", [10]), ("ann", [60])]


def test_the_maximum_counts_from_the_first_also_where_that_was_withdrawn(world: World) -> None:
    world.workflow(BURST.format(how='debounce="15m", max_wait="40m"'))
    first, *_ = happen(world, 0)
    for minutes in (14, 28, 39):
        at(world, minutes)
        happen(world, minutes)
    world.settle()
    world.notify.cancel(first)

    at(world, 40)
    assert world.module().calls == [("ann", [14, 28, 39])]


def test_one_that_comes_late_does_not_make_the_next_seem_the_first_in_a_while(world: World) -> None:
    world.workflow(BURST.format(how='minutes=15, lookback="20m"'))
    happen(world, 0)
    world.settle()
    assert world.module().calls == [("ann", [0])]

    world.clock.at = START + timedelta(minutes=19)
    happen(world, -20, 19)
    world.settle()
    assert world.module().calls == [("ann", [0]), ("ann", [-20])]
    at(world, 34)
    assert world.module().calls[2:] == [("ann", [19])]


def test_a_backlog_of_two_digests_is_told_in_the_windows_it_would_have_had_live(world: World) -> None:
    world.workflow("""
    @workflow("burst", on="it/happened", to=lambda event: event.data["who"])
    async def burst(n: Notification[dict[str, Any]]) -> None:
        await n.digest("quarter", key=n.payload["key"], minutes=15)
        found = await n.digest("all", minutes=45)
        calls.append([one.payload["at"] for one in found.events])
    """)
    for minutes in (0, 20, 44, 46):
        happen(world, minutes, key=str(minutes))
    world.settle()
    at(world, 24 * 60)

    assert world.module().calls == [[0, 20, 44], [46]]


def test_what_happens_at_the_very_instant_of_the_tick_is_told_by_it(world: World) -> None:
    world.workflow(BURST.format(how='at="09:00", timezone="UTC"'))
    nine = datetime(2026, 1, 16, 9, tzinfo=UTC)
    happen(world, 0)
    world.settle()
    world.clock.at = nine
    happen(world, 21 * 60)
    world.settle()

    assert world.tick("burst") == 1
    assert world.module().calls == [("ann", [0, 21 * 60])]
    world.clock.advance(timedelta(minutes=15))
    assert world.tick("burst") == 0


def test_whoever_carries_an_earlier_window_joins_a_later_one_before_that_closes(world: World) -> None:
    """Bob's second window ends first; Ann's second one waits for those who join it at the end of their first."""
    world.workflow("""
    @workflow("burst", on="it/happened", to=lambda event: event.data["who"])
    async def burst(n: Notification[dict[str, Any]]) -> None:
        await n.digest("first", minutes=30)
        found = await n.digest("second", minutes=60)
        calls.append((n.subscriber.id, [one.payload["at"] for one in found.events]))
    """)
    happen(world, 0, who="bob")
    at(world, 30)
    happen(world, 40)
    at(world, 70)
    happen(world, 75)
    at(world, 80)

    at(world, 300)

    assert world.module().calls == [("bob", [0]), ("ann", [40, 75])]
