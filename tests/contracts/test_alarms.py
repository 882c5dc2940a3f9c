"""The nearest alarms of a workflow have flow runs, fifty at a time; the others are not looked at."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from notify import clock
from notify.model import new_id
from notify.store import alarms, probe
from tests.world import World, migrated

SOURCE = """
@workflow("hello")
async def hello(n: Notification[dict[str, Any]]) -> None:
    await n.in_app("hello")
"""
LATER = 10


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        made.workflow(SOURCE, "hello/hello.in_app")
        yield made


def _want(world: World, *hours: int) -> None:
    buckets = [clock.now() + timedelta(hours=one) for one in hours]
    with world.engine.database.write() as connection:
        alarms.want(connection, "default", "hello", buckets)


def _arm(world: World) -> list[Any]:
    """Give all that are to have one a flow run; returns them."""
    with world.engine.database.write() as connection:
        found = alarms.unarmed(connection, "default", ["hello"])
        for alarm in found:
            alarms.armed(connection, "default", alarm.id, new_id(), clock.now())
    return found


def _is_unarmed(world: World, *known: str) -> bool:
    with world.engine.database.read() as connection:
        return probe.look(connection, "default", known, clock.now()).unarmed


def _beyond(world: World) -> list[Any]:
    with world.engine.database.read() as connection:
        return [alarm.bucket for alarm in alarms.armed_beyond(connection, "default")]


def test_only_the_nearest_are_armed_and_then_there_is_nothing_to_arm(world: World) -> None:
    _want(world, *range(1, alarms.ARMED + LATER + 1))

    assert _is_unarmed(world, "hello")
    assert len(_arm(world)) == alarms.ARMED
    assert not _is_unarmed(world, "hello")
    assert _arm(world) == []


def test_when_one_has_rung_the_next_is_armed(world: World) -> None:
    _want(world, *range(1, alarms.ARMED + LATER + 1))
    [first, *_] = _arm(world)
    with world.engine.database.write() as connection:
        alarms.rung(connection, "default", "hello", first.bucket)

    assert _is_unarmed(world, "hello")
    [armed] = _arm(world)
    assert armed.bucket == clock.now() + timedelta(hours=alarms.ARMED + 1)


def test_nearer_ones_take_the_place_of_the_farthest(world: World) -> None:
    _want(world, *range(10, alarms.ARMED + 10))
    farthest = _arm(world)[-1].bucket
    assert _beyond(world) == []
    _want(world, 1)

    assert len(_arm(world)) == 1
    assert _beyond(world) == [farthest]


def test_alarms_of_a_workflow_nobody_here_knows_are_left_to_others(world: World) -> None:
    _want(world, 1)

    assert not _is_unarmed(world, "another")
    assert not _is_unarmed(world)
