"""What an application asks for, on both databases: trigger, cancel, and what people chose."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from notify.errors import InvalidEvent, InvalidInput, UnknownWorkflow
from notify.model import Channel, Preference, Verdict
from notify.store.tables import events, subscribers
from tests.world import World, migrated

SHOP = """
class Order(BaseModel):
    orderId: str
    items: int = 1


@workflow("order-shipped")
async def shipped(n: Notification[Order]) -> None:
    calls.append((n.subscriber.id, n.payload.items, n.actor, n.tenant))
    await n.in_app("note")
    await n.email("note")
    await n.push("note")


@workflow("quiet", preferences={"push": False})
async def quiet(n: Notification[dict[str, Any]]) -> None:
    await n.all(n.email("note"), n.push("note"))


@workflow("alarm", critical=True)
async def alarm(n: Notification[dict[str, Any]]) -> None:
    await n.email("note")


@workflow("later")
async def later(n: Notification[dict[str, Any]]) -> None:
    await n.in_app("note")
    await n.sleep("pause", hours=1)
    if not await n.is_read("note", at="after-an-hour"):
        await n.email("note")
"""
CHANNELS = ("in_app", "email", "push")
TEMPLATES = [
    *(f"order-shipped/note.{channel}" for channel in CHANNELS),
    *(f"quiet/note.{channel}" for channel in ("email", "push")),
    *(f"later/note.{channel}" for channel in ("in_app", "email")),
    "alarm/note.email",
]
ORDER = {"orderId": "o1"}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    return migrated(request, request.param)


@pytest.fixture
def world(tmp_path: Path, url: str) -> Iterator[World]:
    with World(tmp_path, url) as made:
        made.workflow(SHOP, *TEMPLATES)
        made.people("ann", "bob")
        yield made


def decided(world: World, workflow: str | None = None) -> dict[tuple[str, str], tuple[str, str | None]]:
    return {
        (row.subscriber, row.channel): (row.status, row.reason)
        for row in world.messages()
        if workflow in (None, row.workflow)
    }


def stored(world: World, table: sa.Table) -> int:
    return len(world.rows(sa.select(table)))


# --- trigger ------------------------------------------------------------------------------------------


def test_a_trigger_tells_those_it_names(world: World) -> None:
    receipt = world.trigger("order-shipped", ["ann", "bob"], ORDER, actor="eve", tenant="acme")
    world.settle()

    assert receipt.verdict is Verdict.ACCEPTED
    assert sorted(world.module().calls) == [("ann", 1, "eve", "acme"), ("bob", 1, "eve", "acme")]
    assert len(decided(world)) == 6


def test_a_person_named_twice_is_told_once(world: World) -> None:
    world.trigger("order-shipped", ["ann", "ann", {"subscriberId": "ann"}], ORDER)
    world.settle()

    assert len(world.notifications()) == 1


def test_an_unknown_id_becomes_a_person_with_nothing_but_an_id(world: World) -> None:
    world.trigger("order-shipped", "new", ORDER)
    world.settle()

    assert world.notify.subscribers.get("new").email is None
    assert decided(world) == {
        ("new", "in_app"): ("delivered", None),
        ("new", "email"): ("skipped", "missing_address"),
        ("new", "push"): ("skipped", "missing_address"),
    }


def test_a_person_given_with_fields_is_updated_and_the_rest_is_kept(world: World) -> None:
    world.people("ann", firstName="Ann", timezone="Europe/Rome")
    before = world.notify.subscribers.get("ann")

    world.trigger("alarm", [{"subscriberId": "ann", "email": "new@example.com", "lastName": "Lee"}, "bob"])
    world.settle()

    after = world.notify.subscribers.get("ann")
    assert (after.email, after.first_name, after.last_name) == ("new@example.com", "Ann", "Lee")
    assert (after.timezone, after.channels) == (before.timezone, before.channels)
    assert world.providers[Channel.EMAIL].to("new@example.com")


def test_a_null_field_takes_the_stored_value_away(world: World) -> None:
    world.trigger("order-shipped", {"subscriberId": "ann", "email": None}, ORDER)
    world.settle()

    assert decided(world)["ann", "email"] == ("skipped", "missing_address")


@pytest.mark.parametrize("payload", [None, {}, {"orderId": 5}, {"orderId": "o1", "items": "2"}, "o1", ["o1"]])
def test_a_payload_that_does_not_fit_is_refused_before_anything_is_written(world: World, payload: Any) -> None:
    known = stored(world, subscribers)

    with pytest.raises(InvalidEvent, match="payload"):
        world.trigger("order-shipped", {"subscriberId": "new", "email": "n@x"}, payload)

    world.settle()
    assert (stored(world, events), stored(world, subscribers)) == (0, known)


def test_an_unknown_workflow_names_those_there_are(world: World) -> None:
    with pytest.raises(UnknownWorkflow) as caught:
        world.trigger("order-shiped", "ann")

    assert all(name in str(caught.value) for name in ("order-shiped", "order-shipped", "quiet", "later"))
    assert stored(world, events) == 0


@pytest.mark.parametrize("hours", [0, 25])
def test_a_transaction_id_used_before_decides_nothing_again(world: World, hours: int) -> None:
    first = world.trigger("order-shipped", "ann", ORDER, transaction_id="tx")
    world.settle()

    world.clock.advance(timedelta(hours=hours))
    second = world.trigger("order-shipped", ["ann", "bob"], ORDER, transaction_id="tx")
    world.settle()

    assert (first.verdict, second.verdict) == (Verdict.ACCEPTED, Verdict.DUPLICATE)
    assert (second.uid, second.transaction_id) == (first.uid, "tx")
    assert len(world.notifications()) == 1


def test_a_transaction_id_of_another_workflow_is_another_trigger(world: World) -> None:
    receipts = [world.trigger(name, "ann", transaction_id="tx") for name in ("quiet", "alarm")]
    world.settle()

    assert [one.verdict for one in receipts] == [Verdict.ACCEPTED] * 2
    assert {line.workflow for line in world.notify.outcomes("tx").lines} == {"quiet", "alarm"}


def test_many_triggers_answer_in_order(world: World) -> None:
    batch = [{"workflow": "alarm", "to": f"user-{n}", "transaction_id": f"tx-{n}"} for n in range(5)]

    receipts = world.notify.trigger_many(batch)
    world.settle()

    assert [one.transaction_id for one in receipts] == [f"tx-{n}" for n in range(5)]
    assert len(world.notifications("alarm")) == 5


def test_nobody_is_a_reason_of_its_own(world: World) -> None:
    world.trigger("alarm", [], transaction_id="tx")
    world.settle()

    [line] = world.notify.outcomes("tx").lines
    assert (line.status, line.reason, line.subscriber) == ("nobody", "no_recipient", None)


def test_one_trigger_that_cannot_be_holds_up_no_other(world: World) -> None:
    with pytest.raises(InvalidInput, match="priority"):
        world.trigger("alarm", "ann", priority="soon")
    world.trigger("alarm", "bob")

    world.settle()

    assert [row.subscriber for row in world.notifications()] == ["bob"]


def test_the_more_urgent_trigger_goes_first(world: World) -> None:
    for priority in ("low", "critical", "normal", "high"):
        world.trigger("order-shipped", priority, ORDER, priority=priority)
    world.settle()

    assert [call[0] for call in world.module().calls] == ["critical", "high", "normal", "low"]


# --- cancel -------------------------------------------------------------------------------------------


def test_cancelling_ends_what_waits_and_leaves_what_is_over(world: World) -> None:
    world.trigger("later", ["ann", "bob"], transaction_id="tx")
    world.trigger("later", "ann", transaction_id="other")
    world.settle()

    assert [world.notify.cancel("tx", "withdrawn") for _ in range(2)] == [2, 0]

    world.advance(hours=2)
    assert world.told() == {("later", "delivered"): 3, ("later", "sent"): 1}
    lines = world.notify.outcomes("tx").lines
    assert sorted(row.reason for row in world.notifications() if row.status == "cancelled") == ["withdrawn"] * 2
    assert {line.subscriber for line in lines} == {"ann", "bob"}


def test_what_is_cancelled_before_it_begins_tells_nobody(world: World) -> None:
    world.trigger("order-shipped", "ann", ORDER, transaction_id="tx")

    assert world.notify.cancel("tx") == 1
    world.settle()
    assert (world.notifications(), world.messages()) == ([], [])


# --- preferences --------------------------------------------------------------------------------------


def test_a_choice_holds_for_everything_or_for_one_workflow_and_the_author_s_comes_first(world: World) -> None:
    choose = world.notify.preferences.set
    choose("ann", None, "email", False)
    choose("ann", "quiet", "email", True)
    choose("bob", "quiet", "email", False)
    choose("bob", "quiet", "push", True)

    for name in ("order-shipped", "quiet", "alarm"):
        world.trigger(name, ["ann", "bob"], ORDER)
    world.settle()

    assert decided(world, "order-shipped")["ann", "email"] == ("skipped", "opted_out_of_all")
    assert decided(world, "order-shipped")["bob", "email"] == ("sent", None)
    assert decided(world, "quiet") == {
        ("ann", "email"): ("skipped", "opted_out_of_all"),
        ("bob", "email"): ("skipped", "opted_out"),
        ("ann", "push"): ("skipped", "workflow_off"),
        ("bob", "push"): ("skipped", "workflow_off"),
    }
    assert set(decided(world, "alarm").values()) == {("sent", None)}


def test_choices_are_listed_and_the_last_one_stands(world: World) -> None:
    preferences = world.notify.preferences
    preferences.set("ann", "quiet", "push", False)
    made = [preferences.set("ann", None, "email", False), preferences.set("ann", "quiet", "push", True)]

    assert preferences.of("ann") == made
    assert made[0] == Preference("ann", None, made[0].channel, False)
    assert preferences.of("bob") == []
    with pytest.raises(InvalidInput, match="pigeon"):
        preferences.set("ann", None, "pigeon", True)
