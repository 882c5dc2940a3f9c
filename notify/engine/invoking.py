"""Calling another workflow as a step: it is triggered and waited for in one transaction, and its end ends the wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from notify import intake
from notify.engine.context import Engine
from notify.engine.driver import Answer, Ending, Request
from notify.engine.ends import End, delayed
from notify.errors import NotifyError, StepFailed, described
from notify.model import Event, JsonObject, NotificationStatus, Remembered, StepState, derive
from notify.steps import Invoke
from notify.store import awaiting, events
from notify.timing import later


def begin(
    connection: sa.Connection, environment: str, engine: Engine, requests: Sequence[Request], now: datetime
) -> list[End]:
    """Trigger what is called, and wait for its end; what cannot be triggered is an error, for good."""
    made = [_made(engine, request, now) for request in requests]
    events.accept(connection, environment, [one for one in made if isinstance(one, Event)])
    ends = [_end(request, one, now) for request, one in zip(requests, made, strict=True)]
    rows = [_expected(request, end.until) for request, end in zip(requests, ends, strict=True) if end.until]
    awaiting.expect(connection, environment, rows)
    return ends


def _invoke(request: Request) -> Invoke:
    assert isinstance(request.step, Invoke)
    return request.step


def _transaction(request: Request) -> str:
    return derive("invoked", request.claimed.id, request.step.key)


def _made(engine: Engine, request: Request, now: datetime) -> Event | StepFailed | None:
    """The trigger, or why there is none; None where the step is new code before what is remembered."""
    step, claimed = _invoke(request), request.claimed
    if request.past:
        return None
    try:
        event = intake.make_trigger(
            engine.environment,
            step.workflow,
            now,
            to=claimed.subscriber if step.to is None else step.to,
            payload=step.payload,
            model=engine.registry.workflow(step.workflow).payload,
            transaction_id=_transaction(request),
        )
    except NotifyError as error:
        return StepFailed(key=step.key, problem=str(error))
    return replace(event, data={**event.data, "invoked_by": claimed.id})


def _end(request: Request, made: Event | StepFailed | None, now: datetime) -> End:
    if isinstance(made, StepFailed):
        return End(Answer(error=made), StepState.FAILED, None, dict(described(made)))
    if made is None:
        return End(Answer(None), StepState.COMPLETED, {"result": None})
    return delayed(later(now, _invoke(request).timeout, None), {})


def _expected(request: Request, until: datetime) -> dict[str, Any]:
    claimed = request.claimed
    return {
        "notification": claimed.id,
        "step": request.step.key,
        "workflow": claimed.workflow,
        "name": awaiting.INVOKED,
        "key": _transaction(request),
        "expression": None,
        "since": claimed.event.ts,
        "until": until,
        "reached_at": claimed.own_time,
    }


# --- its end ------------------------------------------------------------------------------------


def ended(connection: sa.Connection, environment: str, over: Sequence[Ending], now: datetime) -> None:
    """Give what these came to to whoever called them."""
    called = {one.claimed.transaction_id: one for one in over if one.claimed.event.data.get("invoked_by")}
    rows: list[dict[str, Any]] = []
    for row in awaiting.callers(connection, environment, sorted(called)):
        place = {"notification": row.notification, "key": row.step, "reached_at": now}
        rows.append(place | _outcome(called[row.key], row.step))
    if rows:
        awaiting.meet(connection, environment, rows, now)


def _outcome(ending: Ending, step: str) -> dict[str, Any]:
    if ending.status is NotificationStatus.COMPLETED:
        try:
            return {"state": StepState.COMPLETED, "value": {"result": intake.plain(ending.result, "result")}}
        except NotifyError as error:
            failed = StepFailed(key=step, problem=f"{ending.claimed.workflow} ended with {error}")
    else:
        said = (ending.error or {}).get("message") or ending.reason
        failed = StepFailed(key=step, problem=f"{ending.claimed.workflow} failed: {said}")
    return {"state": StepState.FAILED, "error": {**described(failed), "message": failed.facts["problem"]}}


def recalled(remembered: Remembered) -> Any:
    """What the workflow that was called ended with; a StepFailed where it did not end in time."""
    value: JsonObject = remembered.value or {}
    if "result" not in value:
        raise StepFailed(key=remembered.key, problem=f"it did not end by {value.get('until')}")
    return value["result"]
