"""Workers that are lost in the middle of a call, on both databases, and several that work side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from notify.channels.memory import MemoryProvider, Script
from notify.engine import local
from notify.engine.delivery import RETRIES
from notify.model import Channel, Dispatch, Outcome, OutcomeKind, new_id
from notify.store import messages
from notify.store.tables import attempts
from notify.store.tables import messages as stored
from tests.world import START, World, migrated

EMAIL, PUSH = Channel.EMAIL, Channel.PUSH
SOURCE = """
@workflow("mail")
async def mail(n: Notification[dict[str, Any]]) -> None:
    await n.email("note")


@workflow("once", delivery="at_most_once")
async def once(n: Notification[dict[str, Any]]) -> None:
    await n.email("note")


@workflow("both")
async def both(n: Notification[dict[str, Any]]) -> None:
    await n.all(n.email("note"), n.push("note"))
"""
TEMPLATES = ["mail/note.email", "once/note.email", "both/note.email", "both/note.push"]
ACCEPTED = Outcome(OutcomeKind.ACCEPTED, "p-1")
RETRY = Outcome(OutcomeKind.RETRY, detail="busy")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    return migrated(request, request.param)


@pytest.fixture
def world(tmp_path: Path, url: str) -> Iterator[World]:
    with World(tmp_path, url) as made:
        made.workflow(SOURCE, *TEMPLATES)
        made.people("ann")
        yield made


def answers(*outcomes: Outcome) -> Script:
    """These in turn; after the last one ACCEPTED."""
    rest = iter(outcomes)
    return lambda _: next(rest, ACCEPTED)


def send(world: World, workflow: str, *outcomes: Outcome) -> None:
    """Trigger it for ann, the provider answering so."""
    world.providers[EMAIL].script = answers(*outcomes)
    world.trigger(workflow, "ann")
    world.settle()


def message(world: World) -> Any:
    [only] = world.messages()
    return only


def state(world: World) -> tuple[str, str | None, int]:
    row = message(world)
    return row.status, row.reason, row.attempts


def tried(world: World) -> list[Any]:
    """All attempts in order."""
    return world.rows(sa.select(attempts).order_by(attempts.c.message, attempts.c.number))


def listed(world: World) -> list[tuple[int, str | None]]:
    return [(row.number, row.outcome) for row in tried(world)]


# --- lost workers -------------------------------------------------------------------------------------


class Killed(BaseException):
    """The end of a process, as far as one process can show it."""


class Deadly(MemoryProvider):
    """Takes the message, and the process with it."""

    async def send(self, dispatches: Sequence[Dispatch]) -> list[Outcome]:
        await super().send(dispatches)
        raise Killed


def kill_during_the_call(world: World, workflow: str) -> MemoryProvider:
    """What the provider was told before the process ended."""
    survivor = world.providers[EMAIL]
    deadly = world.providers[EMAIL] = Deadly()
    world.trigger(workflow, "ann")
    with pytest.raises(Killed):
        world.settle()
    world.providers[EMAIL] = survivor
    world.restart()
    return deadly


def test_a_call_under_way_when_its_worker_was_lost_is_unknown_and_taken_up(world: World) -> None:
    kill_during_the_call(world, "mail")
    assert listed(world) == [(1, None)]

    world.settle()

    assert message(world).status == "sent"
    assert listed(world) == [(1, "unknown"), (2, "accepted")]
    assert [call.attempt for call in world.providers[EMAIL].calls] == [2]


def test_a_lost_call_counts_as_a_try(world: World) -> None:
    kill_during_the_call(world, "mail")
    world.providers[EMAIL].script = answers(*[RETRY] * 20)

    world.settle()
    for seconds in RETRIES:
        world.advance(seconds=seconds)

    assert state(world) == ("failed", "gave_up", len(RETRIES) + 1)
    assert listed(world)[0] == (1, "unknown")


def test_a_lost_call_is_the_last_where_nothing_may_come_twice(world: World) -> None:
    dead = kill_during_the_call(world, "once")

    world.settle()
    world.advance(days=1)

    row = message(world)
    assert (row.status, row.reason, row.attempts, row.provider) == ("unknown", "no_answer", 1, "memory")
    assert listed(world) == [(1, "unknown")]
    assert (len(dead.accepted), world.providers[EMAIL].calls) == (1, [])


def claim(world: World, lease: timedelta) -> None:
    """Another worker takes the message, begins a call and is not heard of again."""
    environment, now = world.settings.environment, world.clock.at
    with world.notify.database.write() as connection:
        [taken] = messages.claim(connection, environment, token=new_id(), lease=lease, now=now, limit=1)
        begun = {"message": taken.id, "number": taken.attempts + 1, "provider": "memory", "started_at": now}
        messages.record_attempts(connection, environment, [begun])


def test_a_message_is_left_alone_while_its_lease_lasts_and_taken_up_when_it_ends(world: World) -> None:
    send(world, "mail", RETRY)
    world.clock.advance(timedelta(seconds=10))

    claim(world, timedelta(minutes=1))
    world.settle()
    untouched = listed(world)
    with world.notify.database.write() as connection:
        past = sa.update(stored).values(lease_until=START - timedelta(days=3650))
        connection.execute(past)
    world.settle()

    assert untouched == [(1, "retry"), (2, None)]
    assert listed(world) == [(1, "retry"), (2, "unknown"), (3, "accepted")]
    assert message(world).status == "sent"


def test_two_workers_send_nothing_twice(world: World) -> None:
    people = [f"user-{number}" for number in range(40)]
    world.people(*people)
    world.trigger("both", people)
    other = world.another()

    async def side_by_side() -> None:
        await asyncio.gather(local.settle(world.engine), local.settle(other))

    asyncio.run(side_by_side())
    world.settle()

    for channel in (EMAIL, PUSH):
        assert sorted(call.subscriber for call in world.providers[channel].calls) == sorted(people)
    assert world.told() == {("both", "sent"): 80}
