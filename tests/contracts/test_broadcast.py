"""Broadcasts: everybody once, page by page from a stored cursor, on both databases."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa

from notify.engine import batch, local, match
from notify.engine.work import Quietly, Tally
from notify.store import fanouts
from notify.store.audit import audit
from notify.store.tables import fanouts as stretches
from notify.store.tables import omissions
from tests.world import World, migrated

NEWS = """
@workflow("news")
async def news(n: Notification[dict[str, Any]]) -> None:
    await n.in_app("told")
"""
EVERYBODY = [f"p{number:02}" for number in range(25)]


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """25 people in stretches of ten, reached four at a time."""
    monkeypatch.setattr(fanouts, "STRETCH", 10)
    monkeypatch.setattr(batch, "BATCH", 4)
    with World(tmp_path, migrated(request, request.param)) as made:
        made.workflow(NEWS, "news/told.in_app")
        yield made


def told(world: World) -> Counter[str]:
    return Counter(message.subscriber for message in world.messages())


def clean(world: World) -> bool:
    listeners = world.engine.registry.listeners()
    with world.notify.database.read() as connection:
        return audit(connection, "default", listeners, now=world.clock.at).clean


def stretch_rows(world: World) -> list[Any]:
    return world.rows(sa.select(stretches).order_by(stretches.c.until))


def test_everybody_is_told_once(world: World) -> None:
    world.people(*EVERYBODY)
    world.notify.broadcast("news")
    world.settle()

    assert told(world) == Counter(EVERYBODY)
    assert [(row.state, row.people) for row in stretch_rows(world)] == [("done", 10), ("done", 10), ("done", 5)]
    assert clean(world)


def test_who_came_later_is_not_told(world: World) -> None:
    world.people("p01")
    world.notify.broadcast("news")
    world.clock.advance(timedelta(seconds=1))
    world.people("p00", "p02")
    world.settle()

    assert told(world) == Counter(["p01"])


def test_a_broadcast_to_nobody_keeps_its_reason(world: World) -> None:
    world.notify.broadcast("news")
    world.settle()

    assert [row.reason for row in world.rows(sa.select(omissions))] == ["no_recipient"]
    assert clean(world)


def test_the_same_transaction_id_tells_nobody_twice(world: World) -> None:
    world.people(*EVERYBODY)
    world.notify.broadcast("news", transaction_id="of-today")
    world.settle()
    world.notify.broadcast("news", transaction_id="of-today")
    world.settle()

    assert told(world) == Counter(EVERYBODY)


def test_choices_are_honoured(world: World) -> None:
    world.people("p00", "p01")
    world.notify.preferences.set("p01", "news", "in_app", enabled=False)
    world.notify.broadcast("news")
    world.settle()

    assert {message.subscriber: message.reason for message in world.messages()} == {"p00": None, "p01": "opted_out"}


def test_a_worker_lost_between_pages_leaves_nobody_out(world: World) -> None:
    world.people(*EVERYBODY)
    world.notify.broadcast("news")
    asyncio.run(match.match_page(world.engine))
    asyncio.run(batch.work(world.engine, world.engine.registry.workflow("news"), Quietly(), Tally()))
    assert len(told(world)) == 4

    world.restart()
    world.settle()

    assert told(world) == Counter(EVERYBODY)
    assert clean(world)


def test_cancelling_stops_it_where_it_is(world: World) -> None:
    world.people(*EVERYBODY)
    world.notify.broadcast("news", transaction_id="mistaken")
    asyncio.run(match.match_page(world.engine))
    asyncio.run(batch.work(world.engine, world.engine.registry.workflow("news"), Quietly(), Tally()))
    world.notify.cancel("mistaken")
    world.settle()

    assert len(told(world)) == 4
    assert {row.state for row in stretch_rows(world)} == {"cancelled"}
    assert clean(world)


def test_two_workers_share_the_stretches(world: World) -> None:
    world.people(*EVERYBODY)
    world.notify.broadcast("news")
    asyncio.run(match.match_page(world.engine))
    ready = Barrier(2)

    def work(engine: Any) -> None:
        ready.wait()
        asyncio.run(local.settle(engine))

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(work, [world.engine, world.another()]))

    assert told(world) == Counter(EVERYBODY)
    assert clean(world)
