"""Waiting steps: the instant is remembered, the row released and an alarm wanted, all in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from notify import clock
from notify.engine.context import Engine
from notify.engine.driver import LOST, WAITS, Answer, Request
from notify.engine.system_events import announce_cancelled
from notify.model import StepState
from notify.steps import Digest, Sleep
from notify.store import alarms, memos, notifications, people, windows
from notify.store.windows import CALENDAR, FIXED, Joining
from notify.timing import alarm_bucket, next_tick
from notify.workflow import Workflow


def want_alarms(
    connection: sa.Connection, environment: str, workflow: str, instants: Iterable[datetime], now: datetime
) -> None:
    """Note when somebody of this workflow wants to wake; flow runs for it are scheduled after the commit.

    An instant already past needs no alarm: whoever looks for work finds it.
    """
    ahead = {alarm_bucket(instant, now) for instant in instants if instant > now}
    alarms.want(connection, environment, workflow, ahead)


def sleep(
    connection: sa.Connection,
    environment: str,
    engine: Engine,
    workflow: Workflow,
    token: str,
    requests: Sequence[Request],
) -> list[Answer]:
    """Let the group wait, each until its own instant; one that had passed when the event was taken in answers False.

    One that passed since, while the notification stood in the queue, is a wait that is over.
    """
    mine = notifications.lock(connection, environment, [request.claimed.id for request in requests], token)
    now = clock.now()
    rows: list[dict[str, Any]] = []
    sleepers: dict[str, dict[str, Any]] = {}
    answers: list[Answer] = []
    for request in requests:
        if request.claimed.id not in mine:
            answers.append(LOST)
            continue
        until = _until(request, now)
        slept = request.past or until > (request.claimed.taken_in_at or now)
        passes = request.past or until <= now
        answers.append(Answer(slept) if passes else WAITS)
        rows.append(_memo(request, now) | (_passed(slept, now) if passes else _delayed(until)))
        if not passes:
            row = {"id": request.claimed.id, "wake_at": until, "window": request.claimed.window, "tries": 0}
            latest = sleepers.setdefault(request.claimed.id, row)
            latest["wake_at"] = max(latest["wake_at"], until)
    waiting = list(sleepers.values())
    memos.remember(connection, environment, rows)
    notifications.suspend(connection, environment, waiting, now)
    announce_cancelled(connection, environment, engine.registry, [row["id"] for row in waiting], now)
    want_alarms(connection, environment, workflow.id, [row["wake_at"] for row in waiting], now)
    return answers


def _until(request: Request, now: datetime) -> datetime:
    assert isinstance(request.step, Sleep)
    if request.step.until is not None:
        return request.step.until
    assert request.step.length is not None
    return now + request.step.length


def _memo(request: Request, now: datetime) -> dict[str, Any]:
    return {
        "notification": request.claimed.id,
        "key": request.step.key,
        "kind": request.step.kind,
        "started_at": now,
    }


def _passed(slept: bool, now: datetime) -> dict[str, Any]:
    return {"state": StepState.COMPLETED, "value": {"slept": slept}, "finished_at": now}


def _delayed(until: datetime) -> dict[str, Any]:
    return {"state": StepState.DELAYED, "value": {"slept": True, "until": until.isoformat()}}


def digest(engine: Engine, workflow: Workflow, token: str, requests: Sequence[Request]) -> list[Answer]:
    """Open or join windows for the group; everybody waits, and one of each window will carry on."""
    with engine.database.read() as connection:
        ids = [request.claimed.subscriber for request in requests]
        known = people.load(connection, engine.environment, ids)
    zones = {id_: person.timezone for id_, person in known.items()}
    return engine.database.transact(lambda connection: _join(connection, engine, workflow, token, requests, zones))


def _join(
    connection: sa.Connection,
    engine: Engine,
    workflow: Workflow,
    token: str,
    requests: Sequence[Request],
    zones: dict[str, str | None],
) -> list[Answer]:
    environment = engine.environment
    mine = notifications.lock(connection, environment, [request.claimed.id for request in requests], token)
    kept = [request for request in requests if request.claimed.id in mine]
    now = clock.now()
    memos.remember(connection, environment, [_memo(request, now) | {"state": StepState.DELAYED} for request in kept])
    if kept:
        joining = [_joining(request, zones.get(request.claimed.subscriber)) for request in kept]
        closes = windows.join(connection, environment, workflow.id, joining, now)
        announce_cancelled(connection, environment, engine.registry, [one.notification for one in joining], now)
        want_alarms(connection, environment, workflow.id, closes, now)
    return [WAITS if request.claimed.id in mine else LOST for request in requests]


def _joining(request: Request, zone: str | None) -> Joining:
    step, claimed = request.step, request.claimed
    assert isinstance(step, Digest)
    if step.calendar is not None:
        closes = next_tick(claimed.ts, step.calendar.at, step.calendar.weekdays, zone)
        mode, seconds = CALENDAR, None
    else:
        assert step.length is not None
        closes, mode, seconds = claimed.ts + step.length, FIXED, step.length.total_seconds()
    return Joining(
        claimed.id, claimed.subscriber, claimed.event.uid, claimed.ts, step.key, step.by, mode, closes, seconds
    )
