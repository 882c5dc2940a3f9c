"""One batch run: it keeps claiming what is ready of one workflow, and drives it, until there is nothing left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pydantic
import sqlalchemy as sa

from notify import clock
from notify.engine import broadcast
from notify.engine.calling_off import call_off_held
from notify.engine.context import Engine
from notify.engine.driver import Ending, Player, drive
from notify.engine.heartbeat import heartbeat
from notify.engine.work import Stage, Tally, Work, with_memos
from notify.errors import described
from notify.matching import payload_of
from notify.model import Claimed, NotificationStatus, Remembered, Subscriber, new_id
from notify.steps import WAITING
from notify.store import alarms, backlog, closing, events, messages, notifications, people, windows
from notify.store.collected import Item
from notify.store.wanted import want_alarms
from notify.workflow import Notification, Workflow

#: Notifications driven together.
BATCH = 1000
#: Sleepers woken in one transaction.
PAGE = 1000


async def _nobody_to_ask(engine: Engine, workflow: str, now: datetime) -> None:
    """Without Prefect nobody can have cancelled a wake-up there."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a batch run may take: everything ready of its workflow, or one trigger's."""

    event: str | None = None
    #: Done first in the transaction that claims, so that nobody else can claim what it made ready. Where it answers
    #: something true there may be more of it.
    before: Callable[[sa.Connection], object] | None = None
    #: Whether to begin no further round, and whether what is held is not to happen at all.
    stop: Callable[[], bool] = lambda: False
    cancelled: Callable[[], bool] = lambda: False
    #: Asked before whoever is due at an instant is woken: an operator may have cancelled what they wait for.
    consult: Callable[[Engine, str, datetime], Awaitable[None]] = _nobody_to_ask
    #: The flow run this is done in: what fails remembers it.
    flow_run: str | None = None


async def work(engine: Engine, workflow: Workflow, stage: Stage, tally: Tally, scope: Scope | None = None) -> bool:
    """Wake, close, claim, drive and deliver once; False when there was nothing to do."""
    return await (await begin(engine, workflow, stage, tally, scope or Scope()))


async def begin(engine: Engine, workflow: Workflow, stage: Stage, tally: Tally, scope: Scope) -> asyncio.Future[bool]:
    """Wake, close, claim and drive once. The future answered delivers, and then gives the claim back.

    It is over when there was nothing to do, and its result is False; what it raises is not raised here.
    """
    loop = asyncio.get_running_loop()
    if scope.event is None and not await _roused(engine, workflow, scope):
        nothing = loop.create_future()
        nothing.set_result(False)
        return nothing
    driven = loop.create_future()
    over = asyncio.create_task(_hold(engine, workflow, stage, tally, scope, driven))
    try:
        await asyncio.wait([driven, over], return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        over.cancel()
        # Not `asyncio.wait`, which a second cancellation would end before it is over.
        await asyncio.gather(over, return_exceptions=True)
        raise
    return over


async def _hold(
    engine: Engine, workflow: Workflow, stage: Stage, tally: Tally, scope: Scope, driven: asyncio.Future[None]
) -> bool:
    token = new_id()
    held = True
    with heartbeat(engine, token):
        try:
            held = await _drive_claimed(engine, workflow, stage, tally, token, scope, driven)
            return held
        finally:
            if held:
                await _give_back(engine, token, tally, scope)


async def _give_back(engine: Engine, token: str, tally: Tally, scope: Scope) -> None:
    try:
        if scope.cancelled():
            tally.cancelled |= set(await engine.write(call_off_held, engine.registry, token))
    finally:
        await engine.write(_release, token)


async def _roused(engine: Engine, workflow: Workflow, scope: Scope) -> bool:
    """Whether there may be somebody to claim, after whose time has come was made ready."""
    now = clock.now()
    found = await engine.read(backlog.of_workflow, workflow.id, now)
    if found.due:
        await scope.consult(engine, workflow.id, now)
        await engine.write(_rouse, workflow.id, now)
    return found.ready or found.due or scope.before is not None


def _rouse(connection: sa.Connection, environment: str, workflow: str, now: datetime) -> None:
    """Make sleepers due by `now` ready, close windows that ended and drop the alarms that rang."""
    watermark = events.watermark(connection, environment, now)
    woken = notifications.wake(connection, environment, workflow, now, watermark, PAGE)
    closed = 0
    if woken < PAGE and windows.any_due(connection, environment, workflow, now):
        # Who is still to be woken may join one. To ask who else may looks at everybody who is ready.
        closed = _close(connection, environment, workflow, now, watermark)
    if woken < PAGE and not closed:
        # Who is still to be woken keeps the alarm: the stretch of the next one begins where it ends.
        alarms.rung(connection, environment, workflow, now)


def _close(connection: sa.Connection, environment: str, workflow: str, now: datetime, watermark: datetime) -> int:
    """Close windows that nobody can join any more; returns how many."""
    joinable = backlog.undecided_before(connection, environment, workflow)
    horizon = min(filter(None, [now, watermark, joinable]))
    closed = closing.close_due(connection, environment, workflow, horizon=horizon, now=now)
    if ends := windows.next_close(connection, environment, workflow):
        want_alarms(connection, environment, workflow, [ends], now)
    return closed


def _release(connection: sa.Connection, environment: str, token: str) -> None:
    notifications.release(connection, environment, token)
    messages.release(connection, environment, token)


async def _drive_claimed(
    engine: Engine,
    workflow: Workflow,
    stage: Stage,
    tally: Tally,
    token: str,
    scope: Scope,
    driven: asyncio.Future[None],
) -> bool:
    claimed = await engine.write(_claim, engine, workflow, token, scope)
    if not claimed.notifications:
        return claimed.more
    tally.notifications.update(one.id for one in claimed.notifications)
    tally.people.update(one.subscriber for one in claimed.notifications)
    performer = Work(
        engine, workflow, token, stage, tally, scope.flow_run, scope.cancelled, claimed.bursts, claimed.people
    )
    players, endings = _players(workflow, claimed)
    if endings:
        await performer.finish(endings)
    try:
        await drive(players, performer, scope.stop)
        driven.set_result(None)
    finally:
        await _all_of(performer.deliveries)
    return True


async def _all_of(deliveries: Sequence[asyncio.Task[None]]) -> None:
    """Let every delivery come to its end before the claim is given back; then raise the first error there was."""
    for outcome in await asyncio.gather(*deliveries, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


@dataclass(frozen=True, slots=True)
class _Claim:
    notifications: Sequence[Claimed]
    bursts: dict[tuple[str, str], list[Item]]
    people: dict[str, Subscriber]
    #: What the author had named the versions these notifications started with.
    named: Mapping[str, str] = field(default_factory=lambda: {})
    #: Nobody could be claimed, but there may be more to make ready.
    more: bool = False


def _claim(
    connection: sa.Connection, environment: str, engine: Engine, workflow: Workflow, token: str, scope: Scope
) -> _Claim:
    more = scope.before is not None and bool(scope.before(connection))
    taken = notifications.claim(
        connection,
        environment,
        workflow.id,
        token=token,
        lease=engine.lease,
        now=clock.now(),
        limit=BATCH,
        event=scope.event,
        concurrency=workflow.concurrency,
    )
    if scope.event is None and len(taken) < BATCH:
        taken += broadcast.reach(connection, environment, engine, workflow, token, BATCH - len(taken))
    if not taken:
        return _Claim([], {}, {}, more=more)
    memo, bursts = with_memos(connection, environment, taken)
    known = people.load(connection, environment, [one.subscriber for one in taken])
    named = engine.contents.named(connection, workflow.id, (one.version for one in taken))
    mine = [replace(one, memo=_in_order(memo[one.id])) if one.id in memo else one for one in taken]
    return _Claim(mine, bursts, known, named)


def _in_order(memo: Mapping[str, Remembered]) -> dict[str, Remembered]:
    """As the steps came; of those that began at one instant a wait is the last, for it let time pass."""
    steps = sorted(memo.values(), key=lambda step: (step.started_at, step.kind in WAITING, step.key))
    return {step.key: step for step in steps}


def _players(workflow: Workflow, claim: _Claim) -> tuple[list[Player], list[Ending]]:
    """A coroutine each; who lacks what the workflow needs fails at once, naming the event."""
    adapter = pydantic.TypeAdapter[Any](workflow.payload)
    players: list[Player] = []
    endings: list[Ending] = []
    for one in claim.notifications:
        person = claim.people.get(one.subscriber) or Subscriber(one.subscriber)
        try:
            notification = _notification(workflow, one, person, adapter, claim.named.get(one.version or "", ""))
        except Exception as error:
            # A payload's model is the author's code: whatever it raises concerns this notification only.
            endings.append(_unusable(one, error))
            continue
        gone = workflow.shape.gone(one.memo) if one.memo else frozenset[str]()
        players.append(Player(one, workflow(notification), workflow.retries, gone))
    return players, endings


def _notification(
    workflow: Workflow, one: Claimed, person: Subscriber, adapter: pydantic.TypeAdapter[Any], version: str
) -> Notification[Any]:
    return Notification(
        id=one.id,
        event=one.event,
        payload=adapter.validate_python(payload_of(one.event)),
        subscriber=person,
        started_at=one.started_at,
        parameters=workflow.parameters,
        actor=one.event.data.get("actor") if one.event.kind == "trigger" else None,
        tenant=one.event.data.get("tenant") if one.event.kind == "trigger" else None,
        version=version,
    )


def _unusable(one: Claimed, error: Exception) -> Ending:
    problem = f"{type(error).__name__}: {error}"
    if isinstance(error, pydantic.ValidationError):
        first = error.errors()[0]
        problem = f"data.{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    message = f"event {one.event.id or one.event.uid}: {problem}"
    return Ending(one, NotificationStatus.FAILED, "invalid_payload", {**described(error), "message": message})
