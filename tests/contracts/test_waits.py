"""Waiting, waking, cancelling and trying again, on both databases."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from notify.store.tables import steps
from tests.world import SHIPPED, START, World, migrated

DUE = datetime(2026, 1, 20, 9, tzinfo=UTC)
NAP = """
@workflow("nap")
async def nap(n: Notification[dict[str, Any]]) -> None:
    slept = await n.sleep("pause", hours=2)
    calls.append(slept)
    await n.email("hello")
"""
UNTIL = """
@workflow("until")
async def until(n: Notification[dict[str, Any]]) -> None:
    calls.append(await n.sleep_until("nine", datetime(2026, 1, 16, 9, tzinfo=UTC)))
    await n.sleep("pause", hours=2)
    await n.email("hello")
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    return migrated(request, request.param)


@pytest.fixture
def world(tmp_path: Path, url: str) -> Iterator[World]:
    with World(tmp_path, url) as made:
        made.people("ann")
        yield made


# --- sleeping -----------------------------------------------------------------------------------


def test_a_sleeper_wakes_at_its_instant_and_not_before(world: World) -> None:
    world.workflow(NAP, "nap/hello.email")
    world.trigger("nap", "ann")
    world.settle()

    world.advance(hours=2, microseconds=-1)
    assert world.statuses() == [("waiting", None)]
    assert world.messages() == []

    world.advance(microseconds=1)
    assert world.module().calls == [True]
    assert world.told() == {("nap", "sent"): 1}


def test_a_sleeper_survives_a_restart(world: World) -> None:
    world.workflow(NAP, "nap/hello.email")
    world.trigger("nap", "ann")
    world.settle()

    world.restart()
    world.advance(hours=2, microseconds=-1)
    assert world.messages() == []

    world.restart()
    world.advance(microseconds=1)
    assert world.told() == {("nap", "sent"): 1}


def test_sleep_until_wakes_at_the_instant_named(world: World) -> None:
    world.workflow(UNTIL, "until/hello.email")
    world.trigger("until", "ann")
    world.settle()

    [asleep] = world.notifications()
    world.at(asleep.wake_at)

    assert asleep.wake_at == datetime(2026, 1, 16, 9, tzinfo=UTC)
    assert world.module().calls == [True]


def test_an_instant_already_past_answers_false_and_is_remembered(world: World) -> None:
    world.workflow(UNTIL, "until/hello.email")
    world.clock.at = datetime(2026, 1, 16, 9, tzinfo=UTC)
    world.trigger("until", "ann")

    world.settle()
    world.advance(hours=2)

    assert world.module().calls == [False, False]
    assert world.told() == {("until", "sent"): 1}


def test_steps_added_before_a_wait_one_is_in_are_skipped_run_and_passed(world: World) -> None:
    world.workflow(NAP, "nap/hello.email")
    world.trigger("nap", "ann")
    world.settle()

    added = """
    @workflow("nap")
    async def nap(n: Notification[dict[str, Any]]) -> None:
        await n.email("added")
        calls.append(await n.run("counted", int))
        calls.append(await n.sleep("new", days=9))
        calls.append(await n.sleep("pause", hours=2))
        await n.email("hello")
    """
    world.workflow(added, "nap/added.email")
    world.advance(hours=2)

    assert world.module().calls == [0, True, True]
    told = {(message.step, message.status, message.reason) for message in world.messages()}
    assert told == {("added.email", "skipped", "added_after_start"), ("hello.email", "sent", None)}


# --- the reminders of a deadline ----------------------------------------------------------------


@pytest.fixture
def shipped(tmp_path: Path, url: str) -> Iterator[World]:
    with World(tmp_path, url, flows=SHIPPED) as made:
        made.people("ann", "bob")
        yield made


def assign(world: World, to: str = "ann", due: datetime = DUE, task: str = "T") -> str:
    data = {
        "taskId": task,
        "taskTitle": "Write it down",
        "assigneeId": to,
        "assigneeName": to.title(),
        "assignerId": "cid",
        "assignerName": "Cid",
        "projectName": "House",
        "dueDate": due,
    }
    return world.emit("task/assigned", data).transaction_id


def sent(world: World, workflow: str) -> list[tuple[str, str]]:
    return sorted((m.subscriber, m.channel) for m in world.messages() if m.workflow == workflow and m.sent_at)


@pytest.mark.parametrize(("workflow", "hours"), [("deadline-reminder", 24), ("deadline-urgent", 1)])
def test_a_reminder_goes_out_its_hours_before_the_task_is_due(shipped: World, workflow: str, hours: int) -> None:
    assign(shipped)

    shipped.at(DUE - timedelta(hours=hours, microseconds=1))
    assert sent(shipped, workflow) == []

    shipped.at(DUE - timedelta(hours=hours))
    assert sent(shipped, workflow) == [("ann", "email"), ("ann", "in_app"), ("ann", "push")]


def test_a_reminder_looks_at_the_facts_again_when_it_wakes(shipped: World, monkeypatch: pytest.MonkeyPatch) -> None:
    changed: dict[str, dict[str, Any]] = {
        "reassigned": {"assignee": "bob"},
        "moved": {"due": DUE + timedelta(days=1)},
        "completed": {"completed": True},
        "task_unknown": {"known": False},
    }
    facts = ModuleType("applications_own")
    usual = {"known": True, "assignee": "ann", "due": DUE}
    facts.tasks = SimpleNamespace(as_of=lambda asked: [usual | changed[task] for task, _ in asked])  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "applications_own", facts)
    monkeypatch.setenv("NOTIFY_PORT_TASKS", "applications_own:tasks")

    for task in changed:
        assign(shipped, task=task)
    shipped.settle()
    shipped.at(DUE - timedelta(hours=24))

    reasons = {row.cancel_key: row.reason for row in shipped.notifications("deadline-reminder")}
    assert reasons == {task: task for task in changed}
    assert sent(shipped, "deadline-reminder") == []


def test_a_reminder_that_wakes_after_the_task_was_due_tells_nobody(shipped: World) -> None:
    assign(shipped)
    shipped.settle()

    shipped.at(DUE + timedelta(days=3))

    assert shipped.statuses("deadline-reminder") == [("completed", "past")]


def test_a_reminder_for_which_it_is_too_late_tells_nobody(shipped: World) -> None:
    assign(shipped, due=START + timedelta(hours=2))
    shipped.settle()

    assert shipped.statuses("deadline-reminder") == [("completed", "too_late")]
    assert shipped.statuses("deadline-urgent") == [("waiting", None)]


@pytest.mark.parametrize("apart", [True, False], ids=["later", "at once"])
def test_a_newer_assignment_ends_the_older_ones_reminder(shipped: World, apart: bool) -> None:
    newer: dict[str, dict[str, Any]] = {
        "reassigned": {"to": "bob"},
        "moved": {"due": DUE + timedelta(days=1)},
        "superseded": {},
    }
    for task in newer:
        assign(shipped, task=task)
    if apart:
        shipped.settle()
    shipped.clock.advance(timedelta(minutes=1))
    for task, change in newer.items():
        assign(shipped, task=task, **change)
    shipped.settle()

    found = [(row.cancel_key, row.status, row.reason) for row in shipped.notifications("deadline-reminder")]
    assert sorted(found[:3]) == sorted((task, "cancelled", task) for task in newer)
    assert sorted(found[3:]) == sorted((task, "waiting", None) for task in newer)


def test_a_completed_task_ends_its_reminders(shipped: World) -> None:
    assign(shipped)
    shipped.settle()

    shipped.clock.advance(timedelta(minutes=1))
    shipped.emit("task/completed", {"taskId": "T", "completedById": "ann"})
    shipped.settle()

    assert shipped.statuses("deadline-reminder") == [("cancelled", "completed")]
    assert shipped.statuses("deadline-urgent") == [("cancelled", "completed")]


# --- cancelling by transaction ------------------------------------------------------------------


def test_cancelling_a_transaction_reaches_sleepers_digests_and_what_is_held(world: World) -> None:
    collect = """
    @workflow("collect")
    async def collect(n: Notification[dict[str, Any]]) -> None:
        await n.digest("some", minutes=15)
        await n.email("hello")
    """
    world.workflow(NAP, "nap/hello.email")
    world.workflow(collect, "collect/hello.email", file="collect")
    sleeping = world.trigger("nap", ["ann", "bob"], transaction_id="sleeping")
    digesting = world.trigger("collect", "ann", transaction_id="digesting")
    held = world.trigger("nap", "ann", transaction_id="held", at=START + timedelta(hours=1))
    ahead = world.emit("it/happened", ts=START + timedelta(hours=1))
    world.settle()

    counts = [world.notify.cancel(one.transaction_id) for one in (sleeping, digesting, held, ahead)]
    world.advance(days=1)

    assert counts == [2, 1, 1, 1]
    assert world.statuses() == [("cancelled", "cancelled")] * 3
    assert world.messages() == []


# --- trying again -------------------------------------------------------------------------------

FLAKY = """
class Found(BaseModel):
    value: int

def look(key: str) -> Found:
    calls.append((key, datetime.now(UTC)))
    if len(calls) < {succeeds}:
        raise OSError("not now")
    return Found(value=len(calls))

@workflow("flaky")
async def flaky(n: Notification[dict[str, Any]]) -> None:
    found = await n.run("look", look, "it")
    assert isinstance(found, Found), type(found)
    await n.sleep("pause", hours=1)
    assert (await n.run("again", dict, found)) == {{"value": found.value}}
    await n.email("hello")
"""


def test_a_failing_run_is_tried_again_after_one_two_and_four_seconds(world: World) -> None:
    world.workflow(FLAKY.format(succeeds=99), "flaky/hello.email")
    world.trigger("flaky", "ann")
    calls, tries = world.module().calls, []

    for seconds in (0, 1, 2, 4):
        world.advance(seconds=seconds, microseconds=-1 if seconds else 0)
        tries.append(len(calls))
        world.advance(microseconds=1 if seconds else 0)
        tries.append(len(calls))
    world.advance(days=1)

    assert tries == [1, 1, 1, 2, 2, 3, 3, 4]
    assert len(calls) == 4
    [ended] = world.notifications()
    assert (ended.status, ended.error["name"], ended.error["message"]) == (
        "failed",
        "StepFailed",
        "Step 'look' failed: not now",
    )


def test_a_run_that_succeeded_is_not_called_again_and_its_result_is_the_annotated_type(world: World) -> None:
    world.workflow(FLAKY.format(succeeds=3), "flaky/hello.email")
    world.trigger("flaky", "ann")
    world.settle()

    for _ in range(3):
        world.advance(seconds=2)
    world.advance(hours=1)

    assert len(world.module().calls) == 3
    assert world.told() == {("flaky", "sent"): 1}
    [value] = world.rows(sa.select(steps.c.value).where(steps.c.key == "look"))
    assert value == ({"value": 3},)


ODD = """
def odd(who: str){annotation}:
    return {result} if who == "bob" else 1

@workflow("odd")
async def body(n: Notification[dict[str, Any]]) -> None:
    await n.run("odd", odd, n.subscriber.id)
    await n.email("hello")
"""


@pytest.mark.parametrize(
    ("annotation", "result"), [(" -> int", "'x'"), ("", "object()")], ids=["another type", "no JSON"]
)
def test_a_result_that_cannot_be_kept_fails_that_person_only(world: World, annotation: str, result: str) -> None:
    world.people("bob")
    world.workflow(ODD.format(annotation=annotation, result=result), "odd/hello.email")
    world.trigger("odd", ["ann", "bob"])

    world.settle()

    assert sorted((row.subscriber, row.status) for row in world.notifications()) == [
        ("ann", "completed"),
        ("bob", "failed"),
    ]


def test_a_bulk_function_is_called_once_for_everybody(world: World) -> None:
    source = """
    @bulk
    def score(people: list[str], weights: list[int]) -> list[str]:
        calls.append(len(people))
        return [person * weight for person, weight in zip(people, weights, strict=True)]

    @workflow("scored")
    async def scored(n: Notification[dict[str, Any]]) -> None:
        assert await n.run("score", score, n.subscriber.id, 2) == n.subscriber.id * 2
        await n.email("hello")
    """
    world.workflow(source, "scored/hello.email")
    people = [f"p{number}" for number in range(500)]
    world.people(*people)
    world.trigger("scored", people)

    world.settle()

    assert world.module().calls == [500]
    assert world.told() == {("scored", "sent"): 500}
