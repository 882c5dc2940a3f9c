"""What was held is asked anew at its instant, on both databases: then it is sent, held on, or ends with its reason."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from notify.engine import delivery, idle, local
from notify.engine.context import Engine
from notify.model import Channel, Outcome, OutcomeKind, Preference
from notify.reports import present
from notify.reports.why import why
from notify.store import log, people
from notify.store.audit import audit
from tests.contracts.limits_world import NIGHT, OFFICE, OPENING, by_channel, decided, email, hello, schedule
from tests.world import World, migrated


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param), at=NIGHT) as made:
        made.people("ann")
        schedule(made, OFFICE)
        yield made


# --- letting go ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rest", ["", 'await n.sleep("pause", days=2)'], ids=["ended", "waiting"])
def test_what_was_cancelled_while_it_was_held_is_not_sent(world: World, rest: str) -> None:
    hello(world, rest=rest)
    receipt = world.trigger("hello", "ann")
    world.settle()

    world.notify.cancel(receipt.transaction_id)
    world.at(OPENING)

    assert by_channel(world)["email"] == ("cancelled", "cancelled")
    assert world.providers[Channel.EMAIL].calls == []


def test_who_switched_the_channel_off_meanwhile_is_not_told(world: World) -> None:
    hello(world)
    world.trigger("hello", "ann")
    world.settle()

    with world.notify.database.write() as connection:
        off = Preference("ann", "hello", Channel.EMAIL, enabled=False)
        people.choose(connection, "default", [off], world.clock.at)
    world.at(OPENING)

    assert by_channel(world) == {
        "in_app": ("delivered", None),
        "email": ("skipped", "opted_out"),
        "push": ("sent", None),
    }


def test_it_goes_to_the_addresses_of_the_morning(world: World) -> None:
    hello(world)
    world.trigger("hello", "ann")
    world.settle()

    devices = {"providerId": "fcm", "credentials": {"deviceTokens": ["phone", "tablet"]}}
    world.people("ann", email="ann@elsewhere.example", channels=[devices])
    world.at(OPENING)

    assert by_channel(world)["email"] == by_channel(world)["push"] == ("sent", None)
    assert email(world).address == "ann@elsewhere.example"
    assert [call.address for call in world.providers[Channel.EMAIL].calls] == ["ann@elsewhere.example"]
    assert [call.address for call in world.providers[Channel.PUSH].calls] == ["phone", "tablet"]


def test_whose_address_is_gone_by_then_is_not_told(world: World) -> None:
    hello(world)
    world.trigger("hello", "ann")
    world.settle()

    world.people("ann", email=None, channels=[])
    world.at(OPENING)

    gone = ("skipped", "missing_address")
    assert by_channel(world) == {"in_app": ("delivered", None), "email": gone, "push": gone}
    assert email(world).address is None
    assert world.providers[Channel.EMAIL].calls == []


def test_a_worker_that_comes_too_late_holds_it_until_the_next_opening(world: World) -> None:
    hello(world)
    world.trigger("hello", "ann")
    world.settle()

    world.at(OPENING + timedelta(hours=12))
    assert (*by_channel(world)["email"], email(world).next_attempt_at) == (
        "held",
        "quiet_hours",
        datetime(2026, 1, 19, 9, tzinfo=UTC),
    )

    world.at(datetime(2026, 1, 19, 9, tzinfo=UTC))
    assert by_channel(world)["email"] == ("sent", None)


@pytest.mark.parametrize("options", ["", ", critical=True"])
def test_what_is_tried_again_after_the_hours_waits_for_the_morning(world: World, options: str) -> None:
    hello(world, options)
    busy = iter([Outcome(OutcomeKind.RETRY, detail="busy")])
    world.providers[Channel.EMAIL].script = lambda _: next(busy, Outcome(OutcomeKind.ACCEPTED))
    world.clock.at = OPENING + timedelta(hours=9, seconds=-1)
    world.trigger("hello", "ann")
    world.settle()
    first = email(world)
    world.advance(seconds=10)

    assert (first.status, first.attempts, first.error) == ("queued", 1, "busy")
    if options:
        assert by_channel(world)["email"] == ("sent", None)
        return
    held = email(world)
    assert (held.status, held.reason, held.attempts, held.claim) == ("held", "quiet_hours", 1, None)
    assert (held.next_attempt_at, held.error) == (datetime(2026, 1, 19, 9, tzinfo=UTC), "busy")
    world.at(datetime(2026, 1, 19, 9, tzinfo=UTC))
    assert (email(world).status, email(world).attempts) == ("sent", 2)
    assert [call.attempt for call in world.providers[Channel.EMAIL].calls] == [1, 2]


def test_hours_that_were_changed_meanwhile_are_those_that_hold(world: World) -> None:
    hello(world)
    world.trigger("hello", "ann")
    world.settle()

    schedule(world, {"mon-fri": "11:00-18:00"})
    world.at(OPENING)
    assert email(world).next_attempt_at == OPENING + timedelta(hours=2)

    world.advance(hours=2)
    assert by_channel(world)["email"] == ("sent", None)


@pytest.mark.parametrize("given", [None, {"mon-fri": "20:00-23:00"}], ids=["none", "open now"])
def test_who_opens_their_hours_gets_at_once_what_was_held(world: World, given: Any) -> None:
    hello(world)
    world.trigger("hello", "ann")
    world.settle()

    world.notify.subscribers.schedule("ann", given)
    world.settle()

    assert by_channel(world) == {"in_app": ("delivered", None), "email": ("sent", None), "push": ("sent", None)}


def test_who_moves_to_where_it_is_day_gets_at_once_what_was_held(world: World) -> None:
    hello(world)
    world.people("bob")
    schedule(world, OFFICE, "bob")
    world.trigger("hello", ["ann", "bob"])
    world.settle()

    world.people("ann", timezone="America/Los_Angeles")
    world.settle()

    emails = {row.subscriber: row.status for row in world.messages() if row.channel == "email"}
    assert emails == {"ann": "sent", "bob": "held"}


def test_who_has_other_hours_that_are_closed_waits_for_those(world: World) -> None:
    hello(world)
    world.trigger("hello", "ann")
    world.settle()

    world.notify.subscribers.schedule("ann", {"mon-fri": "07:00-18:00"})
    world.settle()

    assert (*by_channel(world)["email"], email(world).next_attempt_at) == (
        "held",
        "quiet_hours",
        OPENING - timedelta(hours=2),
    )


def test_saving_somebody_as_they_were_lets_nothing_be_looked_at_again(world: World) -> None:
    hello(world)
    world.people("ann", timezone="UTC")
    world.trigger("hello", "ann")
    world.settle()

    world.people("ann", timezone="UTC")

    assert email(world).next_attempt_at == OPENING


def test_two_workers_at_the_opening_send_each_message_once(world: World) -> None:
    hello(world)
    ids = [f"p{place}" for place in range(30)]
    world.people(*ids)
    for id_ in ids:
        schedule(world, OFFICE, id_)
    world.trigger("hello", ids)
    world.settle()
    others = [world.another(), world.another()]

    world.clock.at = OPENING

    async def work(engine: Engine) -> None:
        while await delivery.deliver_due(engine, limit=7):
            continue

    async def both() -> None:
        await asyncio.gather(*map(work, others))

    asyncio.run(both())

    assert world.told() == {("hello", "delivered"): 30, ("hello", "sent"): 60}
    assert len(world.providers[Channel.EMAIL].calls) == 30


def test_a_worker_looks_for_what_is_held_at_its_instant_and_says_meanwhile_that_it_waits(world: World) -> None:
    hello(world)
    world.trigger("hello", "ann")
    world.settle()
    waiting = asyncio.run(idle.look(world.engine))
    assert [(one.what, one.count, one.until) for one in waiting.waiting] == [("messages that are held", 2, OPENING)]
    assert (waiting.idle, asyncio.run(local.look(world.engine)).undelivered) == (True, False)

    world.clock.at = OPENING

    assert asyncio.run(local.look(world.engine)).undelivered
    assert not asyncio.run(idle.look(world.engine)).idle


# --- memory -------------------------------------------------------------------------------------


def test_a_replay_answers_what_was_decided_whatever_became_of_it_since(world: World) -> None:
    hello(world, rest='await n.sleep("pause", days=2)')
    world.trigger("hello", "ann")
    world.settle()
    first = decided(world)

    world.restart()
    world.at(OPENING)
    world.advance(days=2)

    assert world.statuses() == [("completed", None)]
    assert by_channel(world)["email"] == ("sent", None)
    assert len(world.module().calls) == 2
    assert decided(world) == first


# --- reading it back ----------------------------------------------------------------------------


def test_why_and_the_log_say_until_when_it_is_held_and_the_audit_that_nobody_let_it_go(world: World) -> None:
    hello(world)
    world.trigger("hello", "ann")
    world.settle()
    assert _why(world)[-2:] == [
        (OPENING, "email held"),
        (NIGHT, "notification completed"),
    ]

    with world.notify.database.read() as connection:
        lines = [present.log_line(row).plain for row in log.rows(connection, "default", status="held")]
    assert [line.endswith(f"quiet_hours until {present.short(OPENING)}") for line in lines] == [True, True]

    world.clock.at = OPENING + timedelta(hours=1)
    with world.notify.database.read() as connection:
        found = audit(connection, "default", {}, now=world.clock.at)
    assert (found.clean, [one.kind for one in found.listings]) == (True, ["held_too_long"] * 2)

    world.settle()
    assert (OPENING, "email was held until then") in _why(world)


def _why(world: World) -> list[tuple[datetime | None, str]]:
    answer = why(email(world).id, database=world.notify.database, environment="default")
    return [(link.when, link.what) for link in answer.chain]
