"""What an application reads back, on both databases: inbox and outcomes; and the same client for asyncio."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from notify import clock
from notify.client import AsyncNotify, Notify
from notify.engine import local
from notify.errors import NotFound
from notify.model import Channel, Verdict, new_id
from tests.world import START, World, migrated

SOURCE = """
@workflow("later")
async def later(n: Notification[dict[str, Any]]) -> None:
    await n.in_app("note")
    await n.sleep("pause", hours=1)
    if not await n.is_read("note", at="after-an-hour"):
        await n.email("note")
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    return migrated(request, request.param)


@pytest.fixture
def world(tmp_path: Path, url: str) -> Iterator[World]:
    with World(tmp_path, url) as made:
        made.workflow(SOURCE, "later/note.in_app", "later/note.email")
        made.template("later/note.in_app", "{% block body %}number {{ payload.n }}{% endblock %}")
        made.people("ann", "bob")
        yield made


# --- the inbox ----------------------------------------------------------------------------------------


def fill(world: World, count: int) -> None:
    for number in range(count):
        world.trigger("later", ["ann", "bob"], {"n": number})
        world.advance(seconds=1)


def test_the_inbox_lists_the_newest_first_a_page_at_a_time(world: World) -> None:
    fill(world, 5)
    inbox = world.notify.inbox("ann")

    assert [item.body for item in inbox.list()] == [f"number {n}" for n in (4, 3, 2, 1, 0)]
    assert [item.body for item in inbox.list(limit=2, offset=1)] == ["number 3", "number 2"]
    assert (inbox.count(), inbox.count(unread=False)) == (5, 5)
    assert world.notify.inbox("nobody").list() == []


def test_what_is_read_is_seen_and_keeps_its_first_instant(world: World) -> None:
    fill(world, 2)
    inbox = world.notify.inbox("ann")
    newest, oldest = inbox.list()
    instant = world.clock.at

    inbox.read(newest.id)
    inbox.seen(oldest.id)
    world.advance(minutes=1)
    inbox.read(newest.id)

    newest, oldest = inbox.list()
    assert (newest.is_read, newest.read_at, newest.seen_at) == (True, instant, instant)
    assert (oldest.is_read, oldest.read_at, oldest.seen_at) == (False, None, instant)
    assert [item.id for item in inbox.list(unread=True)] == [oldest.id]
    assert (inbox.count(), inbox.count(unread=False)) == (1, 2)
    assert world.notify.inbox("bob").count() == 2


def test_what_is_unread_again_was_seen_all_the_same(world: World) -> None:
    fill(world, 1)
    inbox = world.notify.inbox("ann")
    [item] = inbox.list()
    instant = world.clock.at

    inbox.read(item.id)
    world.advance(minutes=1)
    inbox.unread(item.id)

    [item] = inbox.list(unread=True)
    assert (item.is_read, item.read_at, item.seen_at) == (False, None, instant)
    assert inbox.count() == 1


@pytest.mark.parametrize("action", ["read", "unread", "seen"])
def test_nobody_can_mark_another_person_s_message(world: World, action: str) -> None:
    fill(world, 1)
    [theirs] = world.notify.inbox("bob").list()

    for id_ in (theirs.id, new_id(), "not-an-id"):
        with pytest.raises(NotFound, match="ann"):
            getattr(world.notify.inbox("ann"), action)(id_)

    assert world.notify.inbox("bob").list()[0].seen_at is None


def test_a_workflow_sees_what_was_read_meanwhile(world: World) -> None:
    fill(world, 1)
    [item] = world.notify.inbox("ann").list()
    world.notify.inbox("ann").read(item.id)

    world.advance(hours=1)

    assert [one.subscriber for one in world.providers[Channel.EMAIL].calls] == ["bob"]


# --- outcomes -----------------------------------------------------------------------------------------


def test_outcomes_are_settled_when_nothing_more_happens_by_itself(world: World) -> None:
    world.trigger("later", "ann", {"n": 1}, transaction_id="tx")
    before = world.notify.outcomes("tx")
    world.settle()
    waiting = world.notify.outcomes("tx")
    world.advance(hours=1)
    after = world.notify.outcomes("tx")

    assert (before.known, before.settled, before.lines) == (True, False, [])
    assert (waiting.settled, [(line.channel, line.status) for line in waiting.lines]) == (
        True,
        [("in_app", "delivered")],
    )
    assert [(line.channel, line.status) for line in after.lines] == [("email", "sent"), ("in_app", "delivered")]
    assert waiting.lines[0].wake_at is not None
    assert after.lines[0].wake_at is None


def test_outcomes_of_an_event_are_found_by_its_uid(world: World) -> None:
    receipt = world.emit("unheard/of")
    world.settle()

    [line] = world.notify.outcomes(receipt.transaction_id).as_json()
    assert (line["status"], line["reason"]) == ("nobody", "no_workflow")


def test_what_was_cancelled_is_settled_and_says_so(world: World) -> None:
    world.trigger("later", "ann", {"n": 1}, transaction_id="tx")
    world.settle()
    world.notify.cancel("tx", "withdrawn")

    found = world.notify.outcomes("tx")
    assert found.settled
    assert [line.wake_at for line in found.lines] == [None]


def test_what_was_never_heard_of_is_not_known(world: World) -> None:
    found = world.notify.outcomes("never")

    assert (found.known, found.settled, found.lines) == (False, False, [])


# --- asyncio ------------------------------------------------------------------------------------------


async def test_everything_can_be_awaited(tmp_path: Path, url: str) -> None:
    world = World(tmp_path, url)
    world.workflow(SOURCE, "later/note.in_app", "later/note.email")
    with clock.use(world.clock):
        async with AsyncNotify(world.settings) as notify:
            first = await notify.trigger("later", to="ann", payload={"n": 1}, transaction_id="tx")
            again = await notify.trigger_many([{"workflow": "later", "to": "ann", "transaction_id": "tx"}])
            event = await notify.emit("unheard/of", {}, id="e1")
            [twice] = await notify.emit_many([{"name": "unheard/of", "data": {}, "id": "e1"}])
            sent = await notify.send("bob", "later", {"n": 2}, channels=["in_app"])
            await local.settle(world.engine)
            found = await notify.outcomes("tx")
            cancelled = await notify.cancel("tx")
            unread = await notify.call(lambda own: own.inbox("bob").count())

    assert unread == 1
    assert [first.verdict, again[0].verdict] == [Verdict.ACCEPTED, Verdict.DUPLICATE]
    assert (twice.verdict, twice.uid) == (Verdict.DUPLICATE, event.uid)
    assert {one["channel"]: one["reason"] for one in sent} == {"in_app": None, "email": "missing_address"}
    assert (found.settled, cancelled) == (True, 1)
    world.__exit__()


def test_whatever_can_be_called_can_be_awaited() -> None:
    public = {name for name in vars(Notify) if not name.startswith("_")}
    missing = (
        public
        - {name for name in dir(AsyncNotify) if not name.startswith("_")}
        - {"registry", "inbox", "subscribers", "preferences", "reports"}
    )

    assert missing == set()
    for name in public & set(vars(AsyncNotify)) - {"from_env"}:
        own = getattr(AsyncNotify, name)
        assert inspect.iscoroutinefunction(own)
        assert inspect.signature(own) == inspect.signature(getattr(Notify, name))


def test_the_environment_says_where_everything_is(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_ENVIRONMENT", "staging")

    with Notify.from_env() as notify, clock.use(clock.Frozen(START)):
        receipt = notify.emit("anything/else", {})

    assert (notify.settings.environment, receipt.verdict) == ("staging", Verdict.ACCEPTED)
    assert (home / "notify.db").is_file()
