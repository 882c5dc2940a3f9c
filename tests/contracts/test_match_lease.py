"""Who matches: one process at a time, and in a rolling deployment the one that knows the newest workflows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from notify.engine import match
from notify.engine.context import Engine
from notify.store.tables import omissions
from tests.world import World, migrated

HELLO = """
@workflow("hello")
async def hello(n: Notification[dict[str, Any]]) -> None:
    await n.in_app("note")
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        made.workflow(HELLO, "hello/note.in_app")
        yield made


def of_release(world: World, stamp: int, *, knows: bool) -> Engine:
    engine = world.another()
    known = engine.registry.workflows if knows else {}
    engine.registry = replace(engine.registry, workflows=known, stamp=stamp)
    return engine


def matched(engine: Engine) -> int:
    return asyncio.run(match.match_page(engine))


def test_the_newer_release_takes_over_from_the_older_one(world: World) -> None:
    older, newer = of_release(world, 1, knows=False), of_release(world, 2, knows=True)
    matched(older)
    world.notify.trigger("hello", to="ann")

    assert matched(newer) == 1
    assert [row.subscriber for row in world.notifications()] == ["ann"]


def test_the_older_release_waits_while_a_newer_one_lives(world: World) -> None:
    older, newer = of_release(world, 1, knows=False), of_release(world, 2, knows=True)
    matched(newer)
    world.notify.trigger("hello", to="ann")

    assert matched(older) == 0
    assert world.rows(sa.select(omissions)) == []
    assert matched(newer) == 1


def test_of_one_release_the_first_keeps_matching(world: World) -> None:
    first, second = of_release(world, 1, knows=True), of_release(world, 1, knows=True)
    matched(first)
    world.notify.trigger("hello", to="ann")

    assert matched(second) == 0
    assert matched(first) == 1
