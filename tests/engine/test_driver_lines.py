"""More of the driver's contract: a body that computes too long, keys made in loops, steps under asyncio's own tools."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from notify.engine.driver import SLOW, Answer
from notify.workflow import Notification
from tests.engine.test_driver import Performer, _remembered, play
from tests.world import World, migrated


def _compute() -> None:
    until = time.perf_counter() + SLOW * 1.2
    while time.perf_counter() < until:
        pass


def test_a_body_that_holds_everybody_up_is_reported_with_its_line(caplog: pytest.LogCaptureFixture) -> None:
    async def body(n: Notification[Any]) -> None:
        _compute()
        await n.email("hello")
        _compute()

    with caplog.at_level(logging.WARNING, "notify.driver"):
        performer = play(body)

    awaiting = inspect.getsourcelines(body)[1] + 2
    first, last = [record.getMessage() for record in caplog.records]
    assert (first.split(" for ")[0], first.endswith(f"before line {awaiting}")) == ("tested held everybody up", True)
    assert last.endswith("before its end")
    assert performer.endings["ann"].status == "completed"


def test_a_body_that_only_waits_for_its_steps_is_not_reported(caplog: pytest.LogCaptureFixture) -> None:
    async def body(n: Notification[Any]) -> None:
        await n.email("hello")

    class Slow(Performer):
        async def finish(self, endings: Any) -> None:
            _compute()
            await super().finish(endings)

    play(body, performer=Slow())

    assert caplog.records == []


# --- keys in loops ------------------------------------------------------------------------------


async def _each(n: Notification[Any]) -> None:
    for number in range(3):
        await n.run(f"look-{number}", print, number)


def test_a_loop_whose_keys_differ_is_a_step_a_turn() -> None:
    performer = play(_each)

    assert [request.step.key for request in performer.requests] == ["look-0", "look-1", "look-2"]
    assert performer.endings["ann"].reason == "nothing_sent"


def test_a_loop_goes_on_where_its_memory_ends() -> None:
    performer = play(_each, memo=[_remembered("look-0", "run"), _remembered("look-1", "run")])

    assert [request.step.key for request in performer.requests] == ["look-2"]


def test_a_loop_under_one_key_is_a_duplicate_step_at_its_second_turn() -> None:
    async def body(n: Notification[Any]) -> None:
        for _ in range(3):
            await n.run("look", print)

    performer = play(body)

    assert performer.error().startswith("Step 'look' is used twice in 'tested'")
    assert [request.step.key for request in performer.requests] == ["look"]


# --- steps under asyncio's own tools ------------------------------------------------------------


async def _timeout(n: Notification[Any]) -> None:
    async with asyncio.timeout(1):
        await n.email("hello")


async def _gather(n: Notification[Any]) -> None:
    async def mail() -> None:
        await n.email("hello")

    await asyncio.gather(mail(), mail())


async def _to_thread(n: Notification[Any]) -> None:
    await asyncio.to_thread(n.email, "hello")


async def _task_group(n: Notification[Any]) -> None:
    async def mail() -> None:
        await n.email("hello")

    async with asyncio.TaskGroup() as group:
        group.create_task(mail())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("body", [_timeout, _gather, _to_thread, _task_group], ids=lambda body: body.__name__)
def test_steps_belong_to_the_body_itself(body: Callable[[Notification[Any]], Awaitable[None]]) -> None:
    """Under a tool of asyncio's they are not reached, and the sentence names what to write."""

    async def either(n: Notification[Any]) -> None:
        await (body(n) if n.subscriber.id == "ann" else n.email("hello"))

    performer = play(either, "ann", "bob")

    assert "n.all(" in performer.error("ann")
    assert [request.claimed.subscriber for request in performer.requests] == ["bob"]
    assert performer.endings["bob"].status == "completed"


def test_finally_runs_at_the_wait_and_again_at_the_end() -> None:
    closed: list[str] = []

    async def body(n: Notification[Any]) -> None:
        try:
            closed.append("opened")
            await n.sleep("nap", hours=1)
            await n.email("hello")
        finally:
            closed.append("closed")

    play(body)
    performer = play(body, memo=[_remembered("nap", "sleep", True)])

    assert closed == ["opened", "closed", "opened", "closed"]
    assert performer.endings["ann"].status == "completed"


def test_an_error_of_a_step_may_be_caught_and_the_body_goes_on() -> None:
    async def body(n: Notification[Any]) -> None:
        try:
            await n.run("look", print)
        except ValueError:
            await n.email("sorry")

    performer = play(body, performer=Performer(look=Answer(error=ValueError("no"))))

    assert [request.step.key for request in performer.requests] == ["look", "sorry.email"]
    assert performer.endings["ann"].status == "completed"


# --- code that changed while somebody waited ----------------------------------------------------

BEFORE = """
@workflow("changed")
async def changed(n: Notification[dict[str, Any]]) -> None:
    await n.run("counted", len, "abc")
    await n.in_app("early")
    await n.sleep("pause", hours=1)
    await n.email("late")
"""
AFTER = """
@workflow("changed")
async def changed(n: Notification[dict[str, Any]]) -> None:
    await n.sleep("pause", hours=1)
    await n.push("added")
    await n.email("late")
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_steps_removed_while_somebody_waits_are_kept_and_ignored(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    with World(tmp_path, migrated(request, kind)) as world:
        world.people("ann")
        world.workflow(BEFORE, "changed/early.in_app", "changed/late.email")
        world.trigger("changed", "ann")
        world.settle()
        world.workflow(AFTER, "changed/added.push", "changed/late.email")
        world.advance(hours=1)

        told = {(row.channel, row.status) for row in world.messages()}
        assert told == {("in_app", "delivered"), ("push", "sent"), ("email", "sent")}
        assert world.statuses() == [("completed", None)]
