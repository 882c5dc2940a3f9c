"""Digests of a fixed length on both databases: what shares a window, and who carries on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import hypothesis
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st

from notify.engine import batch, local, match
from notify.engine.context import Engine
from notify.model import new_id
from notify.store.tables import windows
from tests.world import START, World, migrated

BURST = """
@workflow("burst", on="it/happened", to=lambda event: event.data["who"])
async def burst(n: Notification[dict[str, Any]]) -> None:
    found = await n.digest("some", minutes=15, key=n.payload["key"])
    told = [one.payload.get("payload", one.payload)["at"] for one in found.events]
    calls.append((n.subscriber.id, n.payload["key"], told))
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


def test_a_digest_holds_the_payloads_of_triggers_as_it_holds_the_data_of_events(world: World) -> None:
    source = """
    @workflow("told")
    async def told(n: Notification[dict[str, Any]]) -> None:
        found = await n.digest("some", minutes=15)
        calls.append([one.payload for one in found.events])
    """
    world.workflow(source, file="told")
    world.trigger("told", "ann", {"at": 1})
    world.settle()
    world.advance(minutes=15)

    assert world.module("told").calls == [[{"at": 1}]]


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


async def settled_by_two(engines: list[Engine], dice: random.Random) -> None:
    """Two processes at work side by side."""
    dice.shuffle(engines)
    await asyncio.gather(*(local.settle(engine) for engine in engines))
    for engine in engines:
        await local.settle(engine)


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
        engines = [world.engine, world.another()]
        gone, before = 0, -1
        for until in (*sorted(dice.sample(range(90), 2)), 90, 200):
            world.clock.at = START + timedelta(minutes=until)
            arriving = [one for one in happened if before < one[2] <= until]
            for who, key, at in dice.sample(arriving, len(arriving)):
                urgency = dice.choice(["low", "critical"])  # so that they join in another order than they happened
                then = START + timedelta(minutes=at)
                world.trigger("burst", who, {"key": key, "at": at}, at=then, priority=urgency)
            asyncio.run(settled_by_two(engines, dice))
            waiting = [row for row in world.notifications() if row.status == "waiting" and dice.random() < withdrawn]
            gone += sum(world.notify.cancel(row.transaction_id) for row in waiting)
            before = until

        items = world.rows(sa.select(windows).where(windows.c.environment == environment))
        assert sum(row.items or 0 for row in items) == len(happened) - gone
        assert {row.state for row in items} <= {"closed", "empty"}
        carriers = {row.id for row in world.notifications() if row.status == "completed"}
        assert {row.carrier for row in items if row.carrier} == carriers
        if not gone:
            assert sorted(world.module().calls) == expected(happened)
