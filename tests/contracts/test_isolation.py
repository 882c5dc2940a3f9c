"""What goes wrong for one goes wrong for nobody else, and is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa

from notify.engine import local, sweep
from notify.store.tables import events, messages, notifications, omissions, steps
from tests.world import START, World, migrated

T = TypeVar("T")
THREE = """
@workflow("{id}", on="it/happened", to="ann", retries=0)
async def body(n: Notification[dict[str, Any]]) -> None:
    {first}
    await n.in_app("hello")
"""
ON_CALL = """
@workflow("on-call", on="{event}", to="bob", retries=0)
async def on_call(n: Notification[dict[str, Any]]) -> None:
    calls.append(n.payload)
    {then}
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        made.people("ann", "bob")
        yield made


def three(world: World) -> None:
    """Three workflows listen to one event; the one in the middle raises."""
    for id_ in ("first", "middle", "third"):
        raising = 'raise ValueError("no such task")' if id_ == "middle" else "pass"
        world.workflow(THREE.format(id=id_, first=raising), f"{id_}/hello.in_app", file=id_)


def system_events(world: World) -> list[Any]:
    return world.rows(sa.select(events).where(events.c.name.startswith("notify/")).order_by(events.c.name))


# --- one workflow of several --------------------------------------------------------------------


def test_a_workflow_that_raises_leaves_the_others_and_says_what_happened(world: World) -> None:
    three(world)
    world.emit("it/happened", {"task": 7}, id="E1")

    world.settle()

    statuses = {row.workflow: row.status for row in world.notifications()}
    assert statuses == {"first": "completed", "middle": "failed", "third": "completed"}
    [failed] = system_events(world)
    [run] = world.notifications("middle")
    assert failed.name == "notify/workflow.failed"
    assert (failed.data["function_id"], failed.data["run_id"]) == ("middle", run.id)
    assert failed.data["error"]["message"] == "no such task"
    assert "ValueError: no such task" in failed.data["error"]["stack"]
    assert 'middle.py", line' in failed.data["error"]["stack"]
    assert failed.data["event"] == {"id": "E1", "name": "it/happened", "data": {"task": 7}}


def test_a_body_that_raised_is_tried_again_and_fails_once_after_four_tries(world: World) -> None:
    source = """
    @workflow("flaky", on="it/happened", to="ann")
    async def flaky(n: Notification[dict[str, Any]]) -> None:
        calls.append(1)
        raise ValueError("not now")
    """
    world.workflow(source)
    world.emit("it/happened")

    tries = [(world.advance(seconds=seconds), len(world.module().calls))[1] for seconds in (0, 1, 2, 4, 3600)]

    assert tries == [1, 2, 3, 4, 4]
    assert world.statuses() == [("failed", "raised")]
    assert len(system_events(world)) == 1


@pytest.mark.parametrize("spelling", ["notify/workflow.failed", "inngest/function.failed"])
def test_a_workflow_may_listen_to_failures_under_either_name(world: World, spelling: str) -> None:
    three(world)
    world.workflow(ON_CALL.format(event=spelling, then='await n.in_app("alert")'), "on-call/alert.in_app", file="call")
    world.emit("it/happened")

    world.settle()

    [told] = world.module("call").calls
    assert told["function_id"] == "middle"
    assert world.statuses("on-call") == [("completed", None)]


def test_a_listener_to_failures_that_fails_says_nothing_further(world: World) -> None:
    three(world)
    world.workflow(ON_CALL.format(event="notify/workflow.failed", then='raise ValueError("also")'), file="call")
    world.emit("it/happened")

    world.settle()

    assert world.statuses("on-call") == [("failed", "raised")]
    assert len(system_events(world)) == 1


def test_what_finished_is_said_only_where_somebody_listens(world: World) -> None:
    three(world)
    world.emit("it/happened")
    world.settle()
    assert [row.name for row in system_events(world)] == ["notify/workflow.failed"]

    world.workflow(ON_CALL.format(event="notify/workflow.finished", then="pass"), file="call")
    world.emit("it/happened")
    world.settle()

    said = Counter(row.name for row in system_events(world))
    assert said == {"notify/workflow.failed": 2, "notify/workflow.finished": 3}


# --- one person of many -------------------------------------------------------------------------


def test_a_template_that_fails_for_one_of_five_hundred_serves_the_others(world: World) -> None:
    source = """
    @workflow("share", retries=0)
    async def share(n: Notification[dict[str, Any]]) -> None:
        await n.email("part")
    """
    text = "{% block subject %}Yours{% endblock %}\n{% block body %}\n{{ 9 // subscriber.data.parts }}{% endblock %}"
    people = [f"p{number}" for number in range(500)]
    world.workflow(source)
    world.template("share/part.email", text)
    world.people(*people, data={"parts": 4})
    world.people("p77", data={"parts": 0})
    world.trigger("share", people)

    world.settle()

    assert world.told() == {("share", "sent"): 499, ("share", "failed"): 1}
    [failed] = [message for message in world.messages() if message.status == "failed"]
    assert (failed.subscriber, failed.reason) == ("p77", "not_rendered")
    assert "share/part.email.j2 line 3: ZeroDivisionError" in failed.error
    assert Counter(row.status for row in world.notifications()) == {"completed": 499, "failed": 1}


def test_a_template_that_cannot_be_compiled_fails_its_own_messages_only(world: World) -> None:
    three(world)
    world.template("third/hello.in_app", "{% block body %}{{ oops {% endblock %}")
    world.emit("it/happened")

    world.settle()

    assert world.statuses("first") == [("completed", None)]
    assert world.statuses("third") == [("failed", "channel_failed")]


CARELESS = {
    "a validator that raises": """
class Careful(BaseModel):
    who: str

    def model_post_init(self, _: Any) -> None:
        {"ann": 1}[self.who]

@workflow("careless", on="it/happened", to=lambda event: event.data["who"], retries=0)
async def careless(n: Notification[Careful]) -> None: ...
""",
    "arguments of a bulk function": """
@bulk
def look(who: list[str], more: list[int]) -> list[int]:
    return more

@workflow("careless", on="it/happened", to=lambda event: event.data["who"], retries=0)
async def careless(n: Notification[dict[str, Any]]) -> None:
    await (n.run("look", look, "ann", 1) if n.subscriber.id == "ann" else n.run("look", look, "bob"))
""",
}


@pytest.mark.parametrize("source", CARELESS.values(), ids=CARELESS.keys())
def test_an_authors_mistake_about_one_person_leaves_the_others(world: World, source: str) -> None:
    world.workflow(source)
    for who in ("ann", "bob"):
        world.emit("it/happened", {"who": who})

    world.settle()

    assert sorted((row.subscriber, row.status) for row in world.notifications())[1] == ("bob", "failed")


# --- one resolver of several --------------------------------------------------------------------

RESOLVERS = {
    "raises": "def to(event: Event) -> str:\n    raise LookupError('who?')",
    "raises for all": "@bulk\ndef to(events: list[Event]) -> list[str]:\n    raise LookupError('who?')",
    "answers for too few": "@bulk\ndef to(events: list[Event]) -> list[str]:\n    return []",
}


@pytest.mark.parametrize("resolver", RESOLVERS.values(), ids=RESOLVERS.keys())
def test_a_resolver_that_fails_omits_its_own_workflow_only(world: World, resolver: str) -> None:
    world.workflow(THREE.format(id="first", first="pass"), "first/hello.in_app", file="first")
    listening = """
@workflow("lost", on="it/happened", to=to)
async def lost(n: Notification[dict[str, Any]]) -> None:
    pass
"""
    world.workflow(resolver + "\n" + listening, file="lost")
    receipt = world.emit("it/happened")

    world.settle()

    [omitted] = world.rows(sa.select(omissions))
    assert (omitted.event, omitted.workflow, omitted.reason) == (receipt.uid, "lost", "resolver_failed")
    assert omitted.detail
    assert world.statuses("first") == [("completed", None)]


# --- a claim that was lost ----------------------------------------------------------------------


class Stalled:
    """A stage on which the first task hangs until its claim has expired and another process did everything."""

    def __init__(self, world: World) -> None:
        self.world, self.second = world, world.another()
        self.before: list[list[str]] = []

    async def task(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        if not self.before:
            await self.world.engine.write(_expire)
            await sweep.sweep_rows(self.second)
            await local.settle(self.second)
            self.before = self.written()
        return await work()

    def written(self) -> list[list[str]]:
        selected = (sa.select(notifications), sa.select(steps), sa.select(messages), sa.select(events.c.uid))
        return [sorted(map(repr, self.world.rows(query))) for query in selected]


def _expire(connection: sa.Connection, environment: str) -> None:
    connection.execute(notifications.update().where(notifications.c.status == "running").values(lease_until=START))


BODIES = {
    "message": 'await n.email("hello")',
    "run": 'await n.run("count", calls.append, 1)',
    "emit": 'await n.emit("it/was.told", {})',
    "sleep": 'await n.sleep("pause", hours=1)',
    "digest": 'await n.digest("some", minutes=15)',
    "throttle": 'await n.throttle("some", minutes=15)',
}


@pytest.mark.parametrize("line", BODIES.values(), ids=BODIES.keys())
def test_a_process_that_lost_its_claim_writes_nothing(world: World, line: str) -> None:
    source = f"""
@workflow("slow")
async def slow(n: Notification[dict[str, Any]]) -> None:
    {line}
"""
    world.workflow(source, "slow/hello.email")
    world.trigger("slow", ["ann", "bob"])
    stage = Stalled(world)

    tally = world.settle(stage)

    assert stage.written() == stage.before
    assert tally.endings == {}
    emails = [dispatch.subscriber for provider in world.providers.values() for dispatch in provider.calls]
    assert len(emails) == len(set(emails))


# --- shared files -------------------------------------------------------------------------------


def test_a_file_that_workflows_share_is_one_module_whoever_imports_it(world: World) -> None:
    world.workflow("seen: list[str] = []", file="_words")
    world.workflow("from _words import seen", file="_before")
    both = """
    from _before import seen as one
    from _words import seen as other

    @workflow("both")
    async def both(n: Notification[dict[str, Any]]) -> None:
        calls.append(one is other)
    """
    world.workflow(both, file="both")
    world.trigger("both", "ann")

    world.settle()

    assert world.module("both").calls == [True]
