"""Digests that several transactions have in hand at once: nobody loses what another one is about to say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from notify.engine import batch, by_hand
from notify.engine.work import Quietly, Tally
from notify.store import closing, notifications
from notify.store import tables as t
from tests.eventually import eventually_sync
from tests.world import START, World, migrated

HOUR = """
@workflow("hour", on="it/happened", to=lambda event: event.data["who"])
async def hour(n: Notification[dict[str, Any]]) -> None:
    found = await n.digest("some", hours=1)
    calls.append((n.subscriber.id, [one.payload["n"] for one in found.events]))
"""
NIGHTLY = """
@workflow("hour", on="it/happened", to=lambda event: event.data["who"]{options})
async def hour(n: Notification[dict[str, Any]]) -> None:
    await n.digest("some", at="18:00", timezone="UTC")
    calls.append(n.subscriber.id)
"""
#: SQLite lets one transaction write at a time.
beside_each_other = pytest.mark.parametrize("world", ["postgresql"], indirect=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        made.people("ann", "bob")
        yield made


def happen(world: World, number: int, who: str = "ann", **data: Any) -> str:
    receipt = world.emit("it/happened", {"who": who, "n": number} | data)
    world.settle()
    return receipt.transaction_id


@contextmanager
def holding(world: World, work: Callable[[sa.Connection], Any]) -> Iterator[None]:
    """`work` is done in a transaction that is open meanwhile."""
    with world.another().database.write() as connection:
        work(connection)
        yield


def waits_for(world: World, other: Future[Any]) -> bool:
    """Whether the other one is over or waits for a lock; on SQLite it waits for its turn in any case."""
    if other.done() or world.notify.database.is_sqlite:
        return True
    activity = sa.table("pg_stat_activity", sa.column("datname"), sa.column("wait_event_type"))
    waiting = sa.select(activity).where(
        activity.c.datname == sa.func.current_database(), activity.c.wait_event_type == "Lock"
    )
    return bool(world.rows(waiting))


def test_cancelling_the_first_event_of_a_window_that_closes_meanwhile_loses_nobody_s(world: World) -> None:
    world.workflow(HOUR)
    first, _ = happen(world, 1), happen(world, 2)
    world.clock.at = now = START + timedelta(hours=2)

    with ThreadPoolExecutor(1) as threads:
        with world.engine.database.write() as connection:
            assert closing.close_due(connection, "default", "hour", horizon=now, now=now) == 1
            cancelling = threads.submit(world.notify.cancel, first)
            eventually_sync(lambda: waits_for(world, cancelling), "the other one is over, or waits")
        assert cancelling.result() == 0
    world.settle()

    assert world.module().calls == [("ann", [1, 2])]


@beside_each_other
def test_windows_behind_one_that_somebody_has_are_left_for_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.workflow(HOUR.replace('"some"', 'n.payload["step"]'))
    happen(world, 1, step="first")
    world.advance(minutes=1)
    happen(world, 2, who="bob", step="second")
    world.clock.at = now = START + timedelta(hours=2)
    rounds = iter(range(3))
    due = closing._first_due
    monkeypatch.setattr(closing, "_first_due", lambda *found: next(rounds) + 1 and due(*found))
    first = sa.select(t.windows.c.id).where(t.windows.c.step == "first").with_for_update()

    with holding(world, lambda connection: connection.execute(first)), world.engine.database.write() as connection:
        assert closing.close_due(connection, "default", "hour", horizon=now, now=now) == 0

    monkeypatch.undo()
    world.settle()
    assert sorted(world.module().calls) == [("ann", [1]), ("bob", [2])]


@beside_each_other
def test_a_window_waits_for_a_sleeper_whom_somebody_else_wakes(world: World) -> None:
    world.workflow(HOUR.replace("    found", '    await n.sleep("while", minutes=n.payload["n"])\n    found'))
    happen(world, 10)
    happen(world, 20)
    world.at(START + timedelta(minutes=10))
    world.clock.at = now = START + timedelta(hours=5)

    def wake(connection: sa.Connection) -> None:
        assert notifications.wake(connection, "default", "hour", now, now, 10) == 1

    with holding(world, wake), world.engine.database.write() as connection:
        batch._rouse(connection, "default", "hour", now)
    world.settle()

    assert world.module().calls == [("ann", [10, 20])]


@pytest.mark.parametrize("busy", [False, True])
def test_a_tick_closes_what_is_due_also_after_a_page_of_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch, busy: bool
) -> None:
    """The first page of windows holds nothing, or those who carry it have to wait for their turn."""
    monkeypatch.setattr(closing, "WINDOWS", 2)
    people = [f"p{number}" for number in range(5)]
    world.people(*people)
    world.workflow(NIGHTLY.format(options=", concurrency=Concurrency(1)" if busy else ""))
    transactions = {who: happen(world, 1, who=who) for who in people}
    world.clock.at = START + timedelta(hours=6)
    due = world.rows(sa.select(t.windows.c.subscriber).order_by(t.windows.c.closes_at, t.windows.c.id))
    if busy:
        world.people("cid")
        taken = happen(world, 2, who="cid")
        n = t.notifications.c
        running = {"status": "running", "claim": taken, "lease_until": START + timedelta(days=9999)}
        with world.notify.database.write() as connection:
            connection.execute(t.notifications.update().where(n.transaction_id == taken).values(running))
    else:
        for (who,) in due[:2]:
            world.notify.cancel(transactions[who])

    asyncio.run(tick(world))

    late = sa.and_(t.windows.c.state == "open", t.windows.c.closes_at <= world.clock.at)
    assert world.rows(sa.select(t.windows.c.id).where(late)) == []
    assert len(world.module().calls) == (0 if busy else 3)


async def tick(world: World) -> None:
    """What the flow run of the cron deployment does."""
    known = world.engine.registry.workflow("hour")
    scope = batch.Scope(before=by_hand.close_calendar(world.engine, known, None, None, []))
    while await batch.work(world.engine, known, Quietly(), Tally(), scope):
        pass
