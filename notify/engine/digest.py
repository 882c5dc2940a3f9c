"""The digest step: open or join windows; and, once one closed, asking of each event whether it still belongs to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import Any

import sqlalchemy as sa

from notify import clock
from notify.engine import act, authors
from notify.engine.context import Engine
from notify.engine.decide import payload_of
from notify.engine.driver import LOST, WAITS, Answer, Request
from notify.engine.system_events import announce_cancelled
from notify.engine.wait import memory
from notify.facts import bulk, is_bulk
from notify.model import Claimed, DigestMode, Remembered, StepState
from notify.steps import Burst, Collected, Digest, Recheck, Unless
from notify.store import collected, joining, memos, notifications, people
from notify.store.joining import Joining
from notify.store.wanted import want_alarms
from notify.timing import next_slot
from notify.workflow import Workflow

#: What a digest remembers that nobody waited in.
_PAST = {"past": True}


def digest(
    connection: sa.Connection,
    environment: str,
    engine: Engine,
    workflow: Workflow,
    token: str,
    requests: Sequence[Request],
) -> list[Answer]:
    """Open or join windows for the group; everybody waits, and one of each window will carry on.

    Whoever it is new code in the past for is not let wait again: they get their own event alone.
    """
    mine = notifications.lock(connection, environment, [request.claimed.id for request in requests], token)
    kept = [request for request in requests if request.claimed.id in mine]
    now = clock.now()
    memos.remember(connection, environment, [_memory(request, now) for request in kept])
    opening = [request for request in kept if not request.past]
    if opening:
        zones = _zones(connection, environment, opening)
        wishes = [_joining(request, zones.get(request.claimed.subscriber)) for request in opening]
        closes = joining.join(connection, environment, workflow.id, wishes, now)
        announce_cancelled(connection, environment, engine.registry, [one.notification for one in wishes], now)
        want_alarms(connection, environment, workflow.id, closes, now)
    return [_answer(request) if request.claimed.id in mine else LOST for request in requests]


def _memory(request: Request, now: datetime) -> dict[str, Any]:
    if not request.past:
        return memory(request, now) | {"state": StepState.DELAYED}
    return memory(request, now) | {"state": StepState.COMPLETED, "value": _PAST, "finished_at": now}


def _answer(request: Request) -> Answer:
    return Answer(alone(request.claimed)) if request.past else WAITS


def was_past(remembered: Remembered) -> bool:
    """Whether this digest was new code in the past, so that there is no window of it."""
    return remembered.value == _PAST


def alone(claimed: Claimed) -> Burst:
    """What a digest comes to for somebody in whose past it is: their own event."""
    event = claimed.event
    return Burst([Collected(event.uid, event.name, event.ts, payload_of(event))])


def _zones(connection: sa.Connection, environment: str, requests: Sequence[Request]) -> Mapping[str, str | None]:
    """People's zones, where a window depends on them."""
    ids = [request.claimed.subscriber for request in requests if _digest(request).slots is not None]
    known = people.load(connection, environment, ids) if ids else {}
    return {id_: person.timezone for id_, person in known.items()}


def _digest(request: Request) -> Digest:
    assert isinstance(request.step, Digest)
    return request.step


def _joining(request: Request, zone: str | None) -> Joining:
    step, claimed = _digest(request), request.claimed
    event, at = claimed.event.uid, claimed.own_time
    closes = partial(_closes_at, step, step.zone or zone)
    return Joining(
        claimed.id, claimed.subscriber, event, at, step.key, step.by, step.mode, closes, step.rule, claimed.window
    )


def _closes_at(step: Digest, zone: str | None, at: datetime) -> datetime:
    """When a window that begins now wants to be looked at: at its end, or at once to see whether its first passes."""
    if step.slots is not None:
        return next_slot(at, step.slots, zone)
    return at if step.mode is DigestMode.LOOKBACK else at + timedelta(seconds=step.rule["seconds"])


# --- at the end of the window -------------------------------------------------------------------


async def recheck(engine: Engine, workflow: Workflow, token: str, requests: Sequence[Request]) -> list[Answer]:
    """Ask the author's function of every event that is about to be told; answers the bursts that are left."""
    asked = [_asked(request) for request in requests]
    answers = await act.run(engine, workflow, token, asked, _note)
    return [_left(request, answer) for request, answer in zip(requests, answers, strict=True)]


def _recheck(request: Request) -> Recheck:
    assert isinstance(request.step, Recheck)
    return request.step


def _asked(request: Request) -> Request:
    step = _recheck(request)
    return replace(request, step=replace(step, function=_together(step.function), args=(step.burst.events,)))


def _left(request: Request, answer: Answer) -> Answer:
    if answer.waits or answer.lost or answer.error is not None:
        return answer
    return Answer(_recheck(request).burst.without(answer.value))


@lru_cache
def _together(unless: Unless) -> Callable[..., Any]:
    """The function for the bursts of everybody at once; answers, for each, the reasons by event."""

    async def withdrawn(bursts: list[Sequence[Collected]]) -> list[dict[str, str]]:
        events = [event for burst in bursts for event in burst]
        reasons = iter(await _reasons(unless, events))
        found = [[(event.id, next(reasons)) for event in burst] for burst in bursts]
        return [{id_: str(reason) for id_, reason in each if reason is not None} for each in found]

    return bulk(withdrawn)


async def _reasons(unless: Unless, events: list[Collected]) -> Sequence[str | None]:
    if is_bulk(unless):
        return await authors.call(unless, events)
    gate = asyncio.Semaphore(authors.CONCURRENCY)

    async def one(event: Collected) -> str | None:
        async with gate:
            return await authors.call(unless, event)

    return await asyncio.gather(*(one(event) for event in events))


def _note(connection: sa.Connection, environment: str, known: Sequence[tuple[Request, Mapping[str, str]]]) -> None:
    rows = [
        {"notification": request.claimed.id, "event": event, "reason": reason}
        for request, reasons in known
        for event, reason in sorted(reasons.items())
    ]
    collected.leave_out(connection, environment, rows)
