"""Action steps: the author's own functions, events and triggers of a workflow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args, get_origin, get_type_hints

import pydantic
import sqlalchemy as sa

from notify import clock, intake
from notify.engine import authors
from notify.engine.context import Engine
from notify.engine.driver import LOST, WAITS, Answer, Request
from notify.errors import InvalidInput, NotifyError, StepFailed, described
from notify.facts import is_bulk, with_history
from notify.model import Event, StepState, derive
from notify.steps import Emit, Run, Step, Trigger
from notify.store import events, memos, notifications
from notify.store.wanted import want_alarms
from notify.timing import retry_at
from notify.workflow import Workflow


@dataclass(frozen=True, slots=True)
class Kept:
    """A function's result, and the JSON it is kept as."""

    value: Any
    json: Any


Result = tuple[Any, BaseException | None]


#: Writes what follows from the results (JSON) of those that succeeded, in the transaction that remembers them.
Note = Callable[[sa.Connection, str, Sequence[tuple[Request, Any]]], None]


async def run(
    engine: Engine, workflow: Workflow, token: str, requests: Sequence[Request], note: Note | None = None
) -> list[Answer]:
    """Call the functions, those marked bulk once for everybody; remember successes, try failures again later."""
    started = clock.now()
    results: dict[str, Result] = {}
    for function, some in _by_function(requests):
        with with_history(engine.history()):
            results |= await _call(function, some)
    outcomes = [(request, *results[request.claimed.id + request.step.key]) for request in requests]
    return await engine.write(_remember_runs, workflow, token, outcomes, started, note)


def _by_function(requests: Sequence[Request]) -> list[tuple[Callable[..., Any], list[Request]]]:
    groups: dict[tuple[int, str], list[Request]] = {}
    for request in requests:
        step = _run(request)
        options = repr(sorted(step.options.items())) if is_bulk(step.function) else ""
        groups.setdefault((id(step.function), options), []).append(request)
    return [(_run(some[0]).function, some) for some in groups.values()]


def _run(request: Request) -> Run[Any]:
    assert isinstance(request.step, Run)
    return request.step


async def _call(function: Callable[..., Any], requests: Sequence[Request]) -> dict[str, Result]:
    keys = [request.claimed.id + request.step.key for request in requests]
    if is_bulk(function):
        return dict(zip(keys, await _call_for_all(function, requests), strict=True))
    gate = asyncio.Semaphore(authors.CONCURRENCY)
    results = await asyncio.gather(*(_call_for_one(function, request, gate) for request in requests))
    return dict(zip(keys, results, strict=True))


async def _call_for_all(function: Callable[..., Any], requests: Sequence[Request]) -> list[Result]:
    try:
        rows = list(zip(*(_run(request).args for request in requests), strict=True))
        columns = [list(column) for column in rows]
        values = await authors.call(function, *columns, **_run(requests[0]).options)
        if len(values) != len(requests):
            problem = f"{function.__name__} answered {len(values)} values for {len(requests)} callers"
            raise StepFailed(key=requests[0].step.key, problem=problem)
    except Exception as error:
        return [(None, error)] * len(requests)
    return [_valid(function, value, bulk=True) for value in values]


async def _call_for_one(function: Callable[..., Any], request: Request, gate: asyncio.Semaphore) -> Result:
    step = _run(request)
    async with gate:
        try:
            value = await authors.call(function, *step.args, **step.options)
        except Exception as error:
            return None, error
    return _valid(function, value, bulk=False)


def _valid(function: Callable[..., Any], value: Any, *, bulk: bool) -> Result:
    """The value as its annotation reads it; what cannot be kept as JSON is the author's mistake."""
    try:
        kind = result_type(function, bulk=bulk)
        valid = kind.validate_python(value)
        return Kept(valid, intake.plain(kind.dump_python(valid, mode="json"), function.__name__)), None
    except Exception as error:
        return None, StepFailed(key=function.__name__, problem=f"its result does not fit its annotation: {error}")


def result_type(function: Callable[..., Any], *, bulk: bool) -> pydantic.TypeAdapter[Any]:
    """How a function's result is kept and read back."""
    try:
        annotation = get_type_hints(function).get("return", Any)
    except (NameError, TypeError):
        annotation = Any
    if bulk and get_origin(annotation) is not None:
        annotation = get_args(annotation)[0]
    return pydantic.TypeAdapter(annotation)


def _remember_runs(
    connection: sa.Connection,
    environment: str,
    workflow: Workflow,
    token: str,
    outcomes: Sequence[tuple[Request, Any, BaseException | None]],
    started: datetime,
    note: Note | None,
) -> list[Answer]:
    mine = notifications.lock(connection, environment, [one.claimed.id for one, _, _ in outcomes], token)
    now = clock.now()
    rows: list[dict[str, Any]] = []
    waiting: list[dict[str, Any]] = []
    answers: list[Answer] = []
    for request, value, error in outcomes:
        if request.claimed.id not in mine:
            answers.append(LOST)
            continue
        row, answer = _outcome(workflow, request, value, error)
        rows.append(_row(request.step, request.claimed.id, started, now) | row)
        answers.append(answer)
        if answer.waits:
            tries = row["value"]["tries"]
            waiting.append(_waiting(request, retry_at(tries, now)))
    memos.remember(connection, environment, rows)
    if note is not None:
        done = [(request, value.json) for request, value, error in outcomes if error is None]
        note(connection, environment, [one for one in done if one[0].claimed.id in mine])
    notifications.suspend(connection, environment, waiting, now)
    want_alarms(connection, environment, workflow.id, [row["wake_at"] for row in waiting], now)
    return answers


def _row(step: Step[Any], notification: str, started: datetime, now: datetime) -> dict[str, Any]:
    return {
        "notification": notification,
        "key": step.key,
        "kind": step.kind,
        "started_at": started,
        "finished_at": now,
    }


def _waiting(request: Request, wake_at: datetime) -> dict[str, Any]:
    claimed = request.claimed
    same = {"window": claimed.window, "reached_at": claimed.reached_at, "tries": claimed.tries}
    return {"id": claimed.id, "wake_at": wake_at} | same


def _outcome(
    workflow: Workflow, request: Request, value: Any, error: BaseException | None
) -> tuple[dict[str, Any], Answer]:
    if error is None:
        return {"state": StepState.COMPLETED, "value": value.json, "error": None}, Answer(value.value)
    memory = request.claimed.memo.get(request.step.key)
    tries = (memory.value["tries"] if memory else 0) + 1
    facts = dict(described(error))
    if tries <= workflow.retries and not isinstance(error, NotifyError):
        return {"state": StepState.PENDING, "value": {"tries": tries}, "error": facts, "finished_at": None}, WAITS
    failed = StepFailed(key=request.step.key, problem=facts["message"])
    return {"state": StepState.FAILED, "value": None, "error": facts}, Answer(error=failed)


async def emit(engine: Engine, token: str, requests: Sequence[Request]) -> list[Answer]:
    """Store the events with the memory of having emitted them: a retry emits nothing twice."""
    return await engine.write(_emit, engine, token, requests)


def _emit(
    connection: sa.Connection, environment: str, engine: Engine, token: str, requests: Sequence[Request]
) -> list[Answer]:
    now = clock.now()

    def make(request: Request) -> Event:
        step = request.step
        assert isinstance(step, Emit)
        made = intake.make_event(step.name, step.data, engine.registry.events, now, id=step.id)
        return _derived(made, request)

    return _put(connection, environment, token, requests, make, now)


async def trigger(engine: Engine, token: str, requests: Sequence[Request]) -> list[Answer]:
    """Like `emit`, for triggers of other workflows."""
    return await engine.write(_trigger, engine, token, requests)


def _trigger(
    connection: sa.Connection, environment: str, engine: Engine, token: str, requests: Sequence[Request]
) -> list[Answer]:
    now = clock.now()

    def make(request: Request) -> Event:
        step = request.step
        assert isinstance(step, Trigger)
        return intake.make_trigger(
            environment,
            step.workflow,
            now,
            to=step.to,
            payload=step.payload,
            model=engine.registry.workflow(step.workflow).payload,
            transaction_id=derive("triggered", request.claimed.id, step.key),
        )

    return _put(connection, environment, token, requests, make, now)


def _derived(event: Event, request: Request) -> Event:
    uid = derive("emitted", request.claimed.id, request.step.key)
    return Event(
        uid=uid,
        kind=event.kind,
        name=event.name,
        data=event.data,
        ts=event.ts,
        received_at=event.received_at,
        id=event.id or uid,
        subject=event.subject,
    )


def _put(
    connection: sa.Connection,
    environment: str,
    token: str,
    requests: Sequence[Request],
    make: Callable[[Request], Event],
    now: datetime,
) -> list[Answer]:
    mine = notifications.lock(connection, environment, [request.claimed.id for request in requests], token)
    made: list[Event] = []
    rows: list[dict[str, Any]] = []
    answers: list[Answer] = []
    for request in requests:
        if request.claimed.id not in mine:
            answers.append(LOST)
            continue
        row = _row(request.step, request.claimed.id, now, now)
        try:
            event = make(request)
        except InvalidInput as error:
            rows.append(row | {"state": StepState.FAILED, "error": dict(described(error))})
            answers.append(Answer(error=StepFailed(key=request.step.key, problem=str(error))))
            continue
        made.append(event)
        rows.append(row | {"state": StepState.COMPLETED, "value": event.transaction_id})
        answers.append(Answer(event.transaction_id))
    events.accept(connection, environment, made)
    memos.remember(connection, environment, rows)
    return answers
