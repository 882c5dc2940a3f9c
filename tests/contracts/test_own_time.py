"""How far a notification has come in its own time, on both databases: no wait takes it back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from notify import clock
from notify.store import retries
from notify.store.tables import notifications
from tests.world import START, World, migrated

WAITS = """
from notify import clock

@workflow("join", on="user/joined", to=lambda event: event.data["user"])
async def join(n: Notification[dict[str, Any]]) -> None:
    {waits}
    found = await n.digest("some", hours=1)
    calls.append((clock.now(), found.total))
"""
BESIDE = 'await n.all(n.wait_for_event("done", "did/it", match="user", hours=10), n.sleep("least", minutes=30))'
AFTER = 'await n.sleep("first", days=1); await n.wait_for_event("done", "did/it", match="user", days=1)'


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        made.people("ann")
        yield made


def happen(world: World, name: str, hours: float | None = None) -> None:
    at = None if hours is None else START + timedelta(hours=hours)
    world.emit(name, {"user": "ann"}, ts=at)
    world.settle()


def test_a_digest_collects_from_the_event_on_that_ended_the_last_of_several_waits(world: World) -> None:
    world.workflow(WAITS.format(waits=BESIDE))
    happen(world, "user/joined")
    world.advance(hours=3)
    happen(world, "did/it")
    assert world.module().calls == []

    world.advance(hours=1)
    assert world.module().calls == [(START + timedelta(hours=4), 1)]


def test_a_digest_after_an_event_of_which_nobody_knew_in_time_collects_from_its_coming_on(world: World) -> None:
    world.workflow(WAITS.format(waits=AFTER))
    happen(world, "user/joined")
    world.advance(days=1)
    world.advance(minutes=5)
    happen(world, "did/it", hours=1)
    assert world.module().calls == []

    world.advance(minutes=59)
    assert world.module().calls == []
    world.advance(minutes=1)
    assert world.module().calls == [(START + timedelta(days=1, hours=1, minutes=5), 1)]


@pytest.mark.parametrize("wait", ['n.sleep("wait", days=3)', 'n.digest("wait", days=3)'])
def test_what_was_never_waited_for_is_waited_for_when_it_is_tried_again(world: World, wait: str) -> None:
    """A `finally` that asked for a step kept the body from being suspended; the author mends it and retries."""
    source = """
    @workflow("join", on="user/joined", to=lambda event: event.data["user"])
    async def join(n: Notification[dict[str, Any]]) -> None:
        try:
            await {wait}
        finally:
            {after}
        calls.append(n.subscriber.id)
    """
    world.workflow(source.format(wait=wait, after='await n.run("more", print, "more")'))
    happen(world, "user/joined")
    [failed] = world.notifications()
    assert (failed.status, failed.reason) == ("failed", "raised")

    world.workflow(source.format(wait=wait, after="pass"))
    with world.notify.database.write() as connection:
        transaction = connection.execute(sa.select(notifications.c.transaction_id)).scalar_one()
        assert retries.take_up(connection, "default", transaction) == [failed.id]
    world.settle()
    assert world.module().calls == []

    world.advance(days=3)
    assert (world.module().calls, clock.now()) == (["ann"], START + timedelta(days=3))
