"""The driver's contract with an author's code, without a store: a performer that answers as the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import ContextVar
from typing import Any

import pytest

from notify.engine.driver import WAITS, Answer, Ending, Player, Request, drive
from notify.model import Claimed, Event, EventKind, MessageStatus, Remembered, StepState, Subscriber
from notify.steps import Decision, Send, Step
from notify.workflow import Notification
from tests.world import START

Body = Callable[[Notification[Any]], Coroutine[Any, Any, Any]]
TOLD = Answer(Decision(MessageStatus.QUEUED))
voice: ContextVar[str] = ContextVar("voice", default="nobody")
pause = vars(asyncio)["sleep"]  # what bodies must not await: it is thrown back before it begins


class Performer:
    """Answers each step; keeps each round's groups, and who ended how."""

    def __init__(self, **answers: Answer) -> None:
        self.answers = answers
        self.rounds: list[list[tuple[str, list[str]]]] = [[]]
        self.requests: list[Request] = []
        self.endings: dict[str, Ending] = {}

    async def perform(self, kind: str, requests: Sequence[Request]) -> Sequence[Answer]:
        self.requests += requests
        self.rounds[-1].append((kind, [request.claimed.subscriber for request in requests]))
        return [self._answer(request.step) for request in requests]

    def _answer(self, step: Step[Any]) -> Answer:
        usual = TOLD if isinstance(step, Send) else WAITS if step.kind == "sleep" else Answer("done")
        return self.answers.get(step.key, usual)

    def recollect(self, claimed: Claimed, step: Step[Any], remembered: Remembered) -> Any:
        return remembered.value

    async def finish(self, endings: Sequence[Ending]) -> None:
        self.endings |= {ending.claimed.subscriber: ending for ending in endings}
        self.rounds.append([])

    def error(self, subscriber: str = "ann") -> str:
        ending = self.endings[subscriber]
        assert ending.status == "failed"
        return str((ending.error or {})["message"])

    def performed(self) -> list[list[tuple[str, list[str]]]]:
        return [groups for groups in self.rounds if groups]


def _remembered(key: str, kind: str, value: Any = None, state: StepState = StepState.COMPLETED) -> Remembered:
    return Remembered(key, kind, state, value, None, START)


def _player(body: Body, subscriber: str, memo: Sequence[Remembered], retries: int) -> Player:
    event = Event(subscriber, EventKind.EVENT, "it/happened", {}, START, START)
    known = {one.key: one for one in memo}
    claimed = Claimed(subscriber, "tested", subscriber, event, event.uid, START, 1, None, None, 0, START, known)
    person = Subscriber(subscriber)
    notification = Notification[Any](
        id=subscriber, event=event, payload={}, subscriber=person, started_at=START, parameters={}
    )
    return Player(claimed, body(notification), retries)


def play(
    body: Body, *people: str, performer: Performer | None = None, memo: Sequence[Remembered] = (), retries: int = 3
) -> Performer:
    """Drive the body for these people."""
    performer = performer or Performer()
    asyncio.run(drive([_player(body, one, memo, retries) for one in people or ("ann",)], performer))
    return performer


def test_a_round_is_one_group_a_kind_of_step() -> None:
    async def body(n: Notification[Any]) -> None:
        await (n.run("look", print) if n.subscriber.id == "cid" else n.email("hello"))
        await n.push("hello")

    performer = play(body, "ann", "bob", "cid")

    assert performer.performed() == [[("email", ["ann", "bob"]), ("run", ["cid"])], [("push", ["ann", "bob", "cid"])]]


def test_all_asks_for_several_steps_in_one_round_and_answers_in_order() -> None:
    got: list[Any] = []

    async def body(n: Notification[Any]) -> None:
        got.extend(await n.all(n.run("b", print), n.email("hello"), n.run("a", print)))

    performer = play(body, performer=Performer(a=Answer("A"), b=Answer("B")))

    assert got == ["B", TOLD.value, "A"]
    assert performer.performed() == [[("email", ["ann"]), ("run", ["ann", "ann"])]]


def test_a_remembered_step_answers_without_being_performed() -> None:
    got: list[Any] = []

    async def body(n: Notification[Any]) -> None:
        got.append(await n.run("look", print))
        got.append(await n.run("again", print))

    performer = play(body, memo=[_remembered("look", "run", 41)])

    assert got == [41, "done"]
    assert [request.step.key for request in performer.requests] == ["again"]


def test_each_person_has_context_variables_of_their_own() -> None:
    heard: dict[str, str] = {}

    async def body(n: Notification[Any]) -> None:
        before = voice.get()
        voice.set(n.subscriber.id)
        await n.email("hello")
        heard[n.subscriber.id] = f"{before}, then {voice.get()}"

    play(body, "ann", "bob")

    assert heard == {"ann": "nobody, then ann", "bob": "nobody, then bob"}
    assert voice.get() == "nobody"


# --- waiting ------------------------------------------------------------------------------------


def test_finally_around_a_wait_runs_and_nothing_has_ended() -> None:
    closed: list[str] = []

    async def body(n: Notification[Any]) -> None:
        try:
            await n.sleep("nap", hours=1)
        finally:
            closed.append(n.subscriber.id)

    performer = play(body)

    assert (closed, performer.endings) == (["ann"], {})


def test_a_step_awaited_in_finally_during_a_wait_fails_with_its_key() -> None:
    async def body(n: Notification[Any]) -> None:
        try:
            await n.sleep("nap", hours=1)
        finally:
            await n.email("bye")

    performer = play(body)

    assert "'bye.email' inside `finally`" in performer.error()
    assert [request.step.key for request in performer.requests] == ["nap"]


def test_except_exception_does_not_swallow_a_wait() -> None:
    caught: list[Exception] = []

    async def body(n: Notification[Any]) -> None:
        try:
            await n.sleep("nap", hours=1)
        except Exception as error:
            caught.append(error)
        await n.email("too soon")

    performer = play(body)

    assert caught == []
    assert performer.endings == {}
    assert performer.performed() == [[("sleep", ["ann"])]]


# --- what is not a step -------------------------------------------------------------------------


async def _nothing() -> None: ...


async def _in_timeout() -> None:
    async with asyncio.timeout(1):
        await pause(0)


async def _in_task_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(_nothing())


FOREIGN: dict[str, Callable[[], Awaitable[Any]]] = {
    "sleep": lambda: pause(0.01),
    "sleep of nothing": lambda: pause(0),
    "gather": lambda: asyncio.gather(_nothing(), _nothing()),
    "to_thread": lambda: asyncio.to_thread(int),
    "timeout": _in_timeout,
    "TaskGroup": _in_task_group,
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("awaited", FOREIGN.values(), ids=FOREIGN.keys())
def test_what_is_not_a_step_fails_this_person_only_and_names_n_run(awaited: Callable[[], Awaitable[Any]]) -> None:
    async def body(n: Notification[Any]) -> None:
        if n.subscriber.id == "ann":
            await awaited()
        await n.email("hello")

    performer = play(body, "ann", "bob")

    assert "n.run(" in performer.error("ann")
    assert performer.endings["ann"].again is False
    assert performer.endings["bob"].status == "completed"


def test_except_exception_does_not_swallow_that_something_else_was_awaited() -> None:
    async def body(n: Notification[Any]) -> None:
        try:
            await pause(0)
        except Exception:
            await n.email("hello")

    performer = play(body)

    assert "n.run(" in performer.error()
    assert performer.requests == []


# --- an author's mistakes -----------------------------------------------------------------------


def test_a_key_used_twice_is_a_duplicate_step() -> None:
    async def body(n: Notification[Any]) -> None:
        await n.email("hello")
        await n.email("hello")

    performer = play(body)

    assert performer.error().startswith("Step 'hello.email' is used twice in 'tested'")


def test_a_key_that_changed_its_kind_is_a_changed_step() -> None:
    async def body(n: Notification[Any]) -> None:
        await n.sleep("pause", hours=1)

    performer = play(body, memo=[_remembered("pause", "run")])

    assert performer.error().startswith("Step 'pause' of 'tested' was a run")


def test_one_persons_exception_leaves_the_others() -> None:
    async def body(n: Notification[Any]) -> None:
        await n.email("hello")
        if n.subscriber.id == "bob":
            raise ValueError("not for bob")

    performer = play(body, "ann", "bob", "cid", retries=0)

    assert performer.error("bob") == "not for bob"
    assert [performer.endings[one].status for one in ("ann", "cid")] == ["completed", "completed"]


def test_a_body_that_raised_is_tried_again_as_often_as_the_workflow_says() -> None:
    async def body(n: Notification[Any]) -> None:
        raise ValueError("perhaps later")

    assert play(body, retries=1).endings["ann"].again is True
    assert play(body, retries=0).endings["ann"].again is False


# --- code that changed while somebody waited ----------------------------------------------------


def test_a_remembered_step_that_is_no_longer_called_is_ignored() -> None:
    async def body(n: Notification[Any]) -> None:
        await n.sleep("nap", hours=1)
        await n.email("hello")

    performer = play(body, memo=[_remembered("removed", "run"), _remembered("nap", "sleep", True)])

    assert [(request.step.key, request.past) for request in performer.requests] == [("hello.email", False)]
    assert performer.endings["ann"].status == "completed"


def test_a_step_added_before_remembered_ones_is_in_the_past_and_one_after_them_is_not() -> None:
    async def body(n: Notification[Any]) -> None:
        await n.all(n.email("added"), n.run("counted", print))
        await n.sleep("nap", hours=1)
        await n.email("hello")

    performer = play(body, memo=[_remembered("nap", "sleep", True)])

    asked = {request.step.key: request.past for request in performer.requests}
    assert asked == {"added.email": True, "counted": True, "hello.email": False}
