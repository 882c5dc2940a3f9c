"""What changes while somebody waits, on both databases: a message is read or seen, a person comes online."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from notify.store.tables import steps
from tests.world import World, migrated

ASKS = """
@workflow("asks")
async def asks(n: Notification[dict[str, Any]]) -> None:
    await n.in_app("note")
    before = [await n.{fact}(at="before")]
    await n.sleep("a-day", days=1)
    before.append(await n.{fact}(at="after-a-day"))
    await n.sleep("another", days=1)
    calls.append((n.subscriber.id, *before, await n.{fact}(at="after-two")))
"""
ESCALATES = """
@workflow("escalates")
async def escalates(n: Notification[dict[str, Any]]) -> None:
    await n.in_app("note")
    await n.sleep("six-hours", hours=6)
    if not await n.is_read("note", at="after-six-hours"):
        await n.email("note")
        await n.sleep("a-day", days=1)
        if not await n.is_read("note", at="after-a-day"):
            await n.sms("note")
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        made.people("ann", "bob")
        yield made


def asking(world: World, fact: str) -> None:
    """Ann and Bob are asked about now, after a day and after two."""
    source = ASKS.replace("n.{fact}(", f'n.{fact}("note", ' if fact != "is_online" else "n.is_online(")
    world.workflow(source, "asks/note.in_app")
    world.trigger("asks", ["ann", "bob"])
    world.settle()


def mark(world: World, person: str, word: str) -> None:
    inbox = world.notify.inbox(person)
    getattr(inbox, word)(inbox.list()[0].id)


def answers(world: World) -> dict[str, list[bool]]:
    world.advance(days=1)
    return {person: found for person, *found in sorted(world.module().calls)}


def kinds(world: World) -> set[str]:
    return {row.kind for row in world.rows(sa.select(steps.c.kind)) if row.kind != "sleep"}


@pytest.mark.parametrize(("word", "fact", "kind"), [("read", "is_read", "isread"), ("seen", "is_seen", "isseen")])
def test_a_mark_is_seen_from_the_step_on_that_comes_after_it(world: World, word: str, fact: str, kind: str) -> None:
    asking(world, fact)

    mark(world, "ann", word)
    world.advance(days=1)

    assert answers(world) == {"ann": [False, True, True], "bob": [False, False, False]}
    assert kinds(world) == {kind}


def test_what_was_seen_is_not_read_and_what_was_read_is_seen(world: World) -> None:
    asking(world, "is_seen")
    mark(world, "ann", "read")
    world.advance(days=1)
    mark(world, "ann", "unread")
    assert answers(world)["ann"] == [False, True, True]

    asking(world, "is_read")
    mark(world, "ann", "seen")
    mark(world, "bob", "read")
    world.advance(days=1)
    mark(world, "bob", "unread")
    assert answers(world) == {"ann": [False, False, False], "bob": [False, True, False]}


def test_presence_is_what_was_said_last_when_the_step_is_reached(world: World) -> None:
    asking(world, "is_online")

    world.notify.subscribers.presence({"ann": True, "bob": False})
    world.advance(days=1)
    world.notify.subscribers.presence({"ann": False, "bob": True})

    assert answers(world) == {"ann": [False, True, False], "bob": [False, False, True]}
    assert kinds(world) == {"isonline"}


def test_a_step_that_asked_about_one_thing_may_not_ask_about_another(world: World) -> None:
    asking(world, "is_read")

    world.workflow(ASKS.replace("n.{fact}(", 'n.is_seen("note", '))
    world.advance(days=1)

    errors = {row.error["message"] for row in world.notifications()}
    assert errors == {
        "Step 'before' of 'asks' was a isread when this notification started and is a isseen today. "
        "Give the new step a new key."
    }


def test_an_author_s_condition_is_decided_by_what_was_done_during_the_wait(world: World) -> None:
    world.people("cid")
    world.workflow(ESCALATES, "escalates/note.in_app", "escalates/note.email", "escalates/note.sms")
    world.trigger("escalates", ["ann", "bob", "cid"])
    world.settle()

    mark(world, "ann", "read")
    world.advance(hours=6)
    mark(world, "bob", "read")
    mark(world, "ann", "unread")
    world.restart()
    world.advance(days=1)

    told = {(row.subscriber, row.channel) for row in world.messages() if row.channel != "in_app"}
    assert told == {("bob", "email"), ("cid", "email"), ("cid", "sms")}
    assert [row.status for row in world.notifications()] == ["completed"] * 3


def test_who_somebody_is_is_read_anew_after_each_wait(world: World) -> None:
    source = """
    @workflow("pays")
    async def pays(n: Notification[dict[str, Any]]) -> None:
        await n.sleep("a-day", days=1)
        if n.subscriber.data.get("premium"):
            await n.email("note")
        await n.sleep("another", days=1)
        calls.append((n.subscriber.first_name, n.subscriber.online, n.subscriber.data))
    """
    world.workflow(source, "pays/note.email")
    world.trigger("pays", "ann")
    world.settle()

    world.notify.subscribers.save([{"subscriberId": "ann", "data": {"premium": True}}])
    world.advance(days=1)
    world.notify.subscribers.save([{"subscriberId": "ann", "firstName": "Anne"}])
    world.notify.subscribers.online("ann", True)
    world.advance(days=1)

    assert world.told() == {("pays", "sent"): 1}
    assert world.module().calls == [("Anne", True, {"premium": True})]
