"""The throttle: so many of one person's notifications pass within a window, whoever comes over the cap ends there.

Windows follow the notifications' own times, so a backlog is throttled as it would have been live, also where several
workers share it.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from notify import clock
from notify.engine.driver import LOST, Answer, Request
from notify.errors import Halted, InvalidInput, StepFailed, described
from notify.model import StepState, Subscriber
from notify.steps import Throttle
from notify.store import memos, notifications, throttles
from notify.store.throttles import Place, Window
from notify.timing import later, length, reachable
from notify.workflow import Workflow

THROTTLED = "throttled"
#: What a step keeps as its memory, and what the body gets.
_Outcome = tuple[dict[str, Any], Answer]
_PASSES: _Outcome = ({"state": StepState.COMPLETED, "value": {}}, Answer())


@dataclass(frozen=True, slots=True)
class _Asking:
    """Somebody who wants to pass."""

    step: Throttle
    place: Place
    at: datetime
    #: When the window ends that would begin here.
    ends: datetime


def throttle(
    connection: sa.Connection,
    environment: str,
    workflow: Workflow,
    token: str,
    requests: Sequence[Request],
    people: Mapping[str, Subscriber],
) -> list[Answer]:
    """Decide for the group, in the order of their own times, who passes; `people` says in which zones they live."""
    mine = notifications.lock(connection, environment, [request.claimed.id for request in requests], token)
    now = clock.now()
    kept = [request for request in requests if request.claimed.id in mine]
    outcomes = _decided(connection, environment, workflow, kept, people, now)
    memory = [_memory(request, now) | outcomes[request.claimed.id, request.step.key][0] for request in kept]
    memos.remember(connection, environment, memory)
    return [outcomes.get((request.claimed.id, request.step.key), ({}, LOST))[1] for request in requests]


def _memory(request: Request, now: datetime) -> dict[str, Any]:
    step = request.step
    of_step = {"notification": request.claimed.id, "key": step.key, "kind": step.kind}
    return of_step | {"started_at": now, "finished_at": now}


def _decided(
    connection: sa.Connection,
    environment: str,
    workflow: Workflow,
    requests: Sequence[Request],
    people: Mapping[str, Subscriber],
    now: datetime,
) -> dict[tuple[str, str], _Outcome]:
    asking: dict[tuple[str, str], _Asking] = {}
    outcomes: dict[tuple[str, str], _Outcome] = {}
    for request in sorted(requests, key=lambda request: (request.claimed.own_time, request.claimed.id)):
        which = (request.claimed.id, request.step.key)
        if request.past:
            outcomes[which] = _PASSES
            continue
        try:
            asking[which] = _asking(request, people.get(request.claimed.subscriber))
        except InvalidInput as error:
            outcomes[which] = _failed(request, error)
    counts = _Counts(connection, environment, workflow.id, list(asking.values()), now)
    outcomes |= {which: counts.decide(one) for which, one in asking.items()}
    counts.save()
    return outcomes


def _failed(request: Request, error: InvalidInput) -> _Outcome:
    failed = StepFailed(key=request.step.key, problem=str(error))
    return {"state": StepState.FAILED, "error": described(error)}, Answer(error=failed)


class _Counts:
    """The windows of everybody who asks, held until the transaction ends."""

    def __init__(
        self, connection: sa.Connection, environment: str, workflow: str, asking: Sequence[_Asking], now: datetime
    ) -> None:
        self._where = (connection, environment, workflow)
        held = throttles.hold(*self._where, {one.place for one in asking}, now)
        late = {one.place: held[one.place] for one in asking if one.at < held[one.place].since}
        before = throttles.earlier(*self._where, late) if late else {}
        self._windows = {place: before.get(place, []) + ([one] if one.count else []) for place, one in held.items()}
        self._changed: set[Place] = set()

    def decide(self, asking: _Asking) -> _Outcome:
        """Count who passes; nobody else leaves a trace in a window."""
        window = self._window(asking)
        limits = {"key": asking.step.by, "since": window.since.isoformat(), "until": window.until.isoformat()}
        if window.count >= asking.step.threshold:
            halted = {"halted": THROTTLED, "threshold": asking.step.threshold, **limits}
            return {"state": StepState.SKIPPED, "value": halted}, Answer(error=Halted(THROTTLED))
        window.count += 1
        self._changed.add(asking.place)
        return {"state": StepState.COMPLETED, "value": limits}, Answer()

    def _window(self, asking: _Asking) -> Window:
        """The one it falls into, or that one it came too late to be the first of; else a new one begins."""
        windows = self._windows[asking.place]
        for window in windows:
            if asking.at < window.until and window.since < asking.ends:
                return window
        begun = Window(asking.at, asking.ends, 0)
        insort(windows, begun, key=lambda one: one.since)
        return begun

    def save(self) -> None:
        """Keep the latest window of each place in which somebody passed."""
        latest = {place: self._windows[place][-1] for place in sorted(self._changed)}
        throttles.save(*self._where, latest)


# --- where a window ends ------------------------------------------------------------------------


def _asking(request: Request, person: Subscriber | None) -> _Asking:
    step, at = request.step, request.claimed.own_time.astimezone(UTC)
    assert isinstance(step, Throttle)
    place = (request.claimed.subscriber, step.key, step.by)
    return _Asking(step, place, at, _ends(step, at, person.timezone if person else None))


def _ends(step: Throttle, at: datetime, zone: str | None) -> datetime:
    try:
        instant = None if step.lasts else _instant(step.until)
        if instant is None:
            return later(at, step.lasts or length(step.until, _FIELD), zone)
        ends = reachable(instant, _FIELD, at)
    except InvalidInput as error:
        raise _unusable(error.problem) from None
    if ends <= at:
        raise _unusable(f"{instant.isoformat()} had passed")
    return ends


_FIELD = "until"


def _unusable(problem: str) -> InvalidInput:
    remedy = 'Give it an instant ahead with its zone, or a length such as "30m"'
    return InvalidInput(field=_FIELD, problem=problem, remedy=remedy)


def _instant(until: Any) -> datetime | None:
    """The instant that a payload names; None where it must be a length."""
    if isinstance(until, str):
        try:
            until = datetime.fromisoformat(until)
        except ValueError:
            return None
    if isinstance(until, datetime) and until.tzinfo is None:
        raise _unusable(f"{until} has no zone")
    return until if isinstance(until, datetime) else None
