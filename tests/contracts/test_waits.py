"""Waiting, waking, cancelling and trying again, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from notify.store.tables import steps
from tests.world import START, World, migrated

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
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
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


def waiting_for(line: str) -> str:
    return f"""
@workflow("nap", retries=0)
async def nap(n: Notification[dict[str, Any]]) -> None:
    {line}
"""


def test_a_message_asked_for_beside_a_wait_goes_out_before_the_wait(world: World) -> None:
    world.workflow(waiting_for('await n.all(n.email("hello"), n.sleep("pause", hours=1))'), "nap/hello.email")
    world.trigger("nap", "ann")

    world.settle()

    assert world.told() == {("nap", "sent"): 1}


def test_two_waits_at_once_last_as_long_as_the_longer_one(world: World) -> None:
    world.workflow(waiting_for('calls.append(await n.all(n.sleep("long", hours=3), n.sleep("short", hours=1)))'))
    world.trigger("nap", "ann")
    world.settle()

    seen = [(world.advance(hours=1), list(world.module().calls))[1] for _ in range(3)]

    assert seen == [[], [], [[True, True]]]


def test_a_step_awaited_in_finally_during_a_wait_fails_the_notification(world: World) -> None:
    line = 'try:\n        await n.sleep("pause", hours=1)\n    finally:\n        await n.email("hello")'
    world.workflow(waiting_for(line), "nap/hello.email")
    world.trigger("nap", "ann")

    world.settle()

    assert world.statuses() == [("failed", "raised")]


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
