"""Digests on both databases: what shares a window, who carries on, and when a calendar digest closes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notify.engine import batch, local, match
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
    for who, key in {(who, key) for who, key, _ in happened}:
        open_: list[int] = []
        for minutes in sorted(at for *place, at in happened if place == [who, key]):
            if open_ and minutes >= open_[0] + 15:
                found.append((who, key, open_))
                open_ = []
            open_ = [*open_, minutes]
        found.append((who, key, open_))
    return sorted(found)


async def interleave(world: World, dice: random.Random) -> None:
    """Two processes of which now one and now the other, and now both, do what there is."""
    one, two = world.engine, world.another()
    for _ in range(3):
        await asyncio.gather(*(local.settle(engine) for engine in dice.choice([[one, two], [two, one], [one]])))


HAPPENED = st.lists(
    st.tuples(st.sampled_from(["ann", "bob"]), st.sampled_from("xy"), st.integers(0, 90)), min_size=1, max_size=14
)


@given(happened=HAPPENED, seed=st.integers(0, 2**16), withdrawn=st.integers(0, 2))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_items_are_events_less_withdrawn_ones_and_windows_are_those_drawn_on_paper(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, happened: list[Happened], seed: int, withdrawn: int
) -> None:
    monkeypatch.setattr(batch, "BATCH", 3)
    monkeypatch.setattr(match, "PAGE", 5)
    dice = random.Random(seed)
    with World(tmp_path, url, environment=f"e{seed}-{dice.getrandbits(64)}-{len(happened)}") as world:
        world.workflow(BURST, "burst/hello.email")
        world.people("ann", "bob")
        urgent = {"priority": "critical"}
        for who, key, minutes in dice.sample(happened, len(happened)):
            at = START + timedelta(minutes=minutes)
            data = {"key": key, "at": minutes}
            ids.append(world.trigger("burst", who, data, at=at, **dice.choice([urgent, {}])).transaction_id)
