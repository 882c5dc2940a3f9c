"""Waiting steps: the instant is remembered, the row released and an alarm wanted, all in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from notify import clock
from notify.engine import arrivals, invoking
from notify.engine.context import Engine
from notify.engine.driver import LOST, Answer, Request
from notify.engine.ends import ANYBODY, End, end_of
from notify.engine.system_events import announce_cancelled
from notify.model import Subscriber
from notify.steps import Invoke, Sleep, WaitForEvent
from notify.store import memos, notifications, people
from notify.store.wanted import want_alarms
from notify.workflow import Workflow


def wait(
    connection: sa.Connection,
    environment: str,
    engine: Engine,
    workflow: Workflow,
    token: str,
    requests: Sequence[Request],
) -> list[Answer]:
    """Let the group wait: each until its own instant, or until an event comes that was asked for.

    Who waits for several at once waits until all of them are over. An event that came since the notification began is
    answered at once; an instant that had passed when the event was taken in answers False, and one that passed since,
    while the notification stood in the queue, is a wait that is over.
    """
    arrivals.hold_off(connection, environment, requests)
    mine = notifications.lock(connection, environment, [request.claimed.id for request in requests], token)
    now = clock.now()
    kept = [request for request in requests if request.claimed.id in mine]
    ends = _ends(connection, environment, engine, workflow, kept, now)
    rows = [memory(request, now) | ends[_place(request)].row(now) for request in kept]
    memos.remember(connection, environment, rows)
    waiting = _sleepers(kept, ends)
    notifications.suspend(connection, environment, waiting, now)
    announce_cancelled(connection, environment, engine.registry, [row["id"] for row in waiting], now)
    want_alarms(connection, environment, workflow.id, [row["wake_at"] for row in waiting], now)
    return [ends[_place(request)].answer if request.claimed.id in mine else LOST for request in requests]


def memory(request: Request, now: datetime) -> dict[str, Any]:
    """What every step's memory begins with."""
    return {
        "notification": request.claimed.id,
        "key": request.step.key,
        "kind": request.step.kind,
        "started_at": now,
    }


Place = tuple[str, str]
_KINDS = (Sleep, WaitForEvent, Invoke)


def _place(request: Request) -> Place:
    return (request.claimed.id, request.step.key)


def _ends(
    connection: sa.Connection,
    environment: str,
    engine: Engine,
    workflow: Workflow,
    requests: Sequence[Request],
    now: datetime,
) -> dict[Place, End]:
    sleeps, events, calls = ([one for one in requests if isinstance(one.step, kind)] for kind in _KINDS)
    known = _people(connection, environment, sleeps)
    slept = [end_of(one, known.get(one.claimed.subscriber, ANYBODY), engine.limits, now) for one in sleeps]
    found = arrivals.expect(connection, environment, workflow.id, events, now)
    called = invoking.begin(connection, environment, engine, calls, now) if calls else []
    pairs = zip([*sleeps, *events, *calls], [*slept, *found, *called], strict=True)
    return {_place(request): end for request, end in pairs}


def _people(connection: sa.Connection, environment: str, sleeps: Sequence[Request]) -> Mapping[str, Subscriber]:
    """Those whose zone or hours decide when their wait ends."""
    ids = [one.claimed.subscriber for one in sleeps if isinstance(one.step, Sleep) and one.step.personal]
    return people.load(connection, environment, ids) if ids else {}


def _sleepers(requests: Sequence[Request], ends: Mapping[Place, End]) -> list[dict[str, Any]]:
    """Who has to wait, each until the last of what they wait for."""
    rows: dict[str, dict[str, Any]] = {}
    for request in requests:
        until = ends[_place(request)].until
        if until is not None:
            claimed = request.claimed
            latest = max(until, rows[claimed.id]["wake_at"]) if claimed.id in rows else until
            rows[claimed.id] = {
                "id": claimed.id,
                "wake_at": latest,
                "window": claimed.window,
                "reached_at": latest,
                "tries": 0,
            }
    return list(rows.values())
