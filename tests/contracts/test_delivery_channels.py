"""Several channels and several devices, on both databases: none waits for another, one that answers is enough."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from notify.channels.memory import MemoryProvider
from notify.model import Channel, Dispatch, Outcome, OutcomeKind
from notify.store.tables import attempts
from tests.world import World, migrated

EMAIL, PUSH = Channel.EMAIL, Channel.PUSH
SOURCE = """
@workflow("both")
async def both(n: Notification[dict[str, Any]]) -> None:
    await n.email("note")
    await n.push("note")


@workflow("phone")
async def phone(n: Notification[dict[str, Any]]) -> None:
    await n.push("note")
"""
ACCEPTED = Outcome(OutcomeKind.ACCEPTED, "p-1")
OUTCOMES = {kind.value: Outcome(kind, detail=kind.value) for kind in OutcomeKind}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    return migrated(request, request.param)


@pytest.fixture
def world(tmp_path: Path, url: str) -> Iterator[World]:
    with World(tmp_path, url) as made:
        made.workflow(SOURCE, "both/note.email", "both/note.push", "phone/note.push")
        made.people("ann")
        yield made


def statuses(world: World) -> dict[str, tuple[str, int]]:
    return {row.channel: (row.status, row.attempts) for row in world.messages()}


def listed(world: World) -> list[tuple[int, str | None]]:
    return [(row.number, row.outcome) for row in world.rows(sa.select(attempts).order_by(attempts.c.number))]


# --- side by side -------------------------------------------------------------------------------------


def test_a_provider_that_hangs_ends_as_unknown_and_holds_no_other_channel(world: World) -> None:
    async def forever(_: Dispatch) -> Outcome:
        await asyncio.Event().wait()
        raise AssertionError

    world.providers[EMAIL] = MemoryProvider(EMAIL, forever, timeout=0.05)
    world.trigger("both", "ann")
    world.settle()

    assert statuses(world) == {"email": ("queued", 1), "push": ("sent", 1)}
    assert sorted(listed(world)) == [(1, "accepted"), (1, "unknown")]


def waiting_for_each_other(world: World) -> None:
    """Neither provider answers before both were called."""
    called: set[Channel] = set()
    all_called: list[asyncio.Event] = []

    async def meet(dispatch: Dispatch) -> Outcome:
        all_called[:] = all_called or [asyncio.Event()]
        called.add(dispatch.channel)
        if called == {EMAIL, PUSH}:
            all_called[0].set()
        await all_called[0].wait()
        return ACCEPTED

    for channel in (EMAIL, PUSH):
        world.providers[channel].script = meet


def test_a_channel_is_called_while_another_has_not_answered(world: World) -> None:
    waiting_for_each_other(world)

    world.trigger("both", "ann")
    world.settle()

    assert statuses(world) == {"email": ("sent", 1), "push": ("sent", 1)}


def test_channels_are_tried_again_side_by_side_as_well(world: World) -> None:
    for channel in (EMAIL, PUSH):
        world.providers[channel].script = lambda _: OUTCOMES["retry"]
    world.trigger("both", "ann")
    world.settle()
    waiting_for_each_other(world)

    world.advance(seconds=10)

    assert statuses(world) == {"email": ("sent", 2), "push": ("sent", 2)}


def test_one_person_s_trouble_is_nobody_else_s(world: World) -> None:
    def script(dispatch: Dispatch) -> Outcome:
        if dispatch.subscriber == "bob":
            raise RuntimeError("surprise")
        return OUTCOMES["rejected"] if dispatch.subscriber == "cid" else ACCEPTED

    world.people("bob", "cid", "dan")
    world.providers[PUSH].script = script
    world.trigger("phone", ["ann", "bob", "cid", "dan"])
    world.settle()

    assert {row.subscriber: row.status for row in world.messages()} == {
        "ann": "sent",
        "bob": "queued",
        "cid": "failed",
        "dan": "sent",
    }


# --- several devices ----------------------------------------------------------------------------------


def devices(world: World, **answers: str) -> None:
    """Ann has these devices, which answer so."""
    integrations: list[Any] = [{"providerId": "fcm", "credentials": {"deviceTokens": list(answers)}}]
    world.notify.subscribers.save([{"subscriberId": "ann", "channels": integrations}])
    world.providers[PUSH].script = lambda dispatch: OUTCOMES[answers[dispatch.address]]


def test_every_device_gets_a_call_of_its_own_within_one_attempt(world: World) -> None:
    devices(world, tablet="accepted", phone="accepted")

    world.trigger("phone", "ann")
    world.settle()

    calls = world.providers[PUSH].calls
    assert [call.address for call in calls] == ["tablet", "phone"]
    assert len({call.id for call in calls}) == 2
    assert (statuses(world), listed(world)) == ({"push": ("sent", 1)}, [(1, "accepted")])


@pytest.mark.parametrize(
    ("tablet", "phone", "status", "outcome"),
    [
        ("accepted", "rejected", "sent", "accepted"),
        ("rejected", "accepted", "sent", "accepted"),
        ("unknown", "accepted", "sent", "accepted"),
        ("retry", "rejected", "queued", "retry"),
        ("unknown", "retry", "queued", "unknown"),
        ("unknown", "rejected", "queued", "unknown"),
        ("rejected", "rejected", "failed", "rejected"),
    ],
)
def test_one_device_that_takes_it_is_enough(world: World, tablet: str, phone: str, status: str, outcome: str) -> None:
    devices(world, tablet=tablet, phone=phone)

    world.trigger("phone", "ann")
    world.settle()

    assert (statuses(world), listed(world)) == ({"push": (status, 1)}, [(1, outcome)])


def test_a_device_keeps_the_id_of_its_call_when_it_is_tried_again(world: World) -> None:
    devices(world, tablet="retry", phone="retry")
    world.trigger("phone", "ann")
    world.settle()
    world.advance(seconds=10)

    calls = world.providers[PUSH].calls
    assert [call.attempt for call in calls] == [1, 1, 2, 2]
    assert [call.id for call in calls[:2]] == [call.id for call in calls[2:]]


def test_an_address_written_twice_gets_one_call(world: World) -> None:
    twice = [{"providerId": one, "credentials": {"deviceTokens": ["a", "a", " "]}} for one in ("fcm", "apns")]
    world.notify.subscribers.save([{"subscriberId": "ann", "channels": twice}])

    world.trigger("phone", "ann")
    world.settle()

    assert [call.address for call in world.providers[PUSH].calls] == ["a"]
