"""Digests of a fixed length on both databases: what shares a window, and who carries on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from notify.store.tables import windows
from tests.world import START, World, migrated

BURST = """
@workflow("burst", on="it/happened", to=lambda event: event.data["who"])
async def burst(n: Notification[dict[str, Any]]) -> None:
    found = await n.digest("some", minutes=15, key=n.payload["key"])
    told = [one.payload["at"] for one in found.events]
    calls.append((n.subscriber.id, n.payload["key"], told))
    await n.email("hello")
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
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
