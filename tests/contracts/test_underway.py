"""The batches of one run: letters go out while the next people are decided, and nothing stays held at the end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from notify.engine import batch, delivery, match
from notify.engine.underway import Underway
from notify.engine.work import Quietly, Tally
from notify.model import Channel, Dispatch, Outcome, OutcomeKind
from tests.eventually import eventually
from tests.world import World, migrated

#: Seconds after which a provider that nobody opened lets the test fail.
PATIENCE = 20.0
PEOPLE = [f"p{number}" for number in range(5)]
SOURCE = """
@workflow("news")
async def news(n: Notification[dict[str, Any]]) -> None:
    await n.all(n.in_app("note"), n.email("note"))
"""


@dataclass
class Gate:
    """A provider whose answers wait until it is opened; `fault` is what its calls raise instead."""

    id: str = "gate"
    channel: Channel = Channel.EMAIL
    idempotent: bool = False
    timeout: float = 30.0
    concurrency: int = 2
    fault: Exception | None = None
    called: list[str] = field(default_factory=lambda: list[str]())
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, dispatches: Sequence[Dispatch]) -> list[Outcome]:
        self.called += [dispatch.subscriber for dispatch in dispatches]
        if self.fault is not None:
            raise self.fault
        async with asyncio.timeout(PATIENCE):
            await self.opened.wait()
        return [Outcome(OutcomeKind.ACCEPTED) for _ in dispatches]

    async def aclose(self) -> None:
        """Nothing is kept open."""


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(batch, "BATCH", 2)
    with World(tmp_path, migrated(request, request.param)) as made:
        made.workflow(SOURCE, "news/note.in_app", "news/note.email")
        made.people(*PEOPLE)
        made.trigger("news", PEOPLE)
        yield made


async def _gate(world: World, fault: Exception | None = None) -> Gate:
    gate = Gate(fault=fault)
    world.providers[Channel.EMAIL] = gate  # type: ignore[assignment]
    await match.match_page(world.engine)
    return gate


async def _work(world: World, batches: Underway, tally: Tally, scope: batch.Scope | None = None) -> bool:
    workflow = world.engine.registry.workflow("news")
    return await batches.work(world.engine, workflow, Quietly(), tally, scope or batch.Scope())


async def _run(world: World) -> None:
    async with Underway() as batches:
        while await _work(world, batches, Tally()):
            continue


def _found(world: World) -> Counter[tuple[str, str]]:
    return Counter((row.channel, row.status) for row in world.messages())


def _held(world: World) -> list[str]:
    return [row.id for row in [*world.notifications(), *world.messages()] if row.claim is not None]


async def test_the_next_people_are_decided_while_letters_go_out_but_not_those_after_them(world: World) -> None:
    gate, tally = await _gate(world), Tally()

    async with Underway() as batches:
        assert await _work(world, batches, tally)
        assert _found(world) == {("in_app", "delivered"): 2, ("email", "queued"): 2}
        second = asyncio.create_task(_work(world, batches, tally))
        await eventually(lambda: _found(world)["in_app", "delivered"] == 4, "the next two are decided")
        assert not second.done()
        gate.opened.set()
        assert await second
        assert await _work(world, batches, tally)
        assert not await _work(world, batches, tally)

    assert _found(world) == {("in_app", "delivered"): 5, ("email", "sent"): 5}
    assert sorted(gate.called) == PEOPLE
    assert _held(world) == []


async def test_what_keeps_letters_from_going_out_is_raised_and_nothing_stays_held(world: World) -> None:
    await _gate(world, fault=RuntimeError("broken"))

    with pytest.raises(RuntimeError, match="broken"):
        await _run(world)

    assert _found(world)["email", "sent"] == 0
    assert _held(world) == []


@pytest.mark.parametrize("times", [1, 20])
async def test_a_cancelled_run_leaves_nothing_held_and_the_next_one_goes_on(world: World, times: int) -> None:
    gate = await _gate(world)

    running = asyncio.create_task(_run(world))
    await eventually(lambda: gate.called, "a call is made")
    for _ in range(times):
        running.cancel()
        await asyncio.wait([running], timeout=0)
    assert not running.done()
    gate.opened.set()
    with pytest.raises(asyncio.CancelledError):
        await running

    # A call that is cut off may have arrived: those under way come to their answers first.
    assert _found(world)["email", "sent"] == len(gate.called) > 0
    assert _held(world) == []
    await _run(world)
    while await delivery.deliver_due(world.engine):
        world.clock.advance(timedelta(hours=1))
    assert _found(world)["email", "queued"] == 0
    assert sorted(gate.called) == PEOPLE
    assert _held(world) == []


async def test_after_a_cancelling_no_further_call_begins_and_what_was_not_sent_is_cancelled(world: World) -> None:
    gate, tally = await _gate(world), Tally()
    scope = batch.Scope(stop=lambda: bool(gate.called), cancelled=lambda: bool(gate.called))

    async with Underway() as batches:
        assert await _work(world, batches, tally, scope)
        await eventually(lambda: gate.called, "a call is made")
        gate.opened.set()

    made = len(gate.called)
    assert made < len(PEOPLE)
    assert _found(world) == +Counter(
        {("in_app", "delivered"): 2, ("email", "sent"): made, ("email", "cancelled"): 2 - made}
    )
    assert _held(world) == []
