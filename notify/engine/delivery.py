"""Delivery: attempt rows first, in waves no larger than the calls about to be in flight, then the calls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

import sqlalchemy as sa

from notify import clock
from notify.channels.base import Provider
from notify.engine import release
from notify.engine.context import Engine
from notify.engine.heartbeat import heartbeat
from notify.errors import StoreUnavailable
from notify.model import Channel, Delivery, Dispatch, MessageStatus, Outcome, OutcomeKind, new_id
from notify.store import messages
from notify.store.messages import Queued

#: When a message is tried again after each failure; after the last one it is given up.
RETRIES = (10, 30, 120, 600, 3600)
#: Seconds for which what calls came to is written again while the database is away: a claim lives longer.
PATIENCE = 30.0


async def deliver(
    engine: Engine, token: str, queued: Sequence[Queued], stop: Callable[[], bool] = lambda: False
) -> None:
    """Make one attempt for each message, all channels side by side: a provider that hangs delays nobody else's.

    After `stop` answers True no wave begins.
    """
    by_channel: dict[Channel, list[Queued]] = {}
    for one in queued:
        by_channel.setdefault(Channel(one.channel), []).append(one)
    channels = [_deliver(engine, token, engine.providers[channel], some, stop) for channel, some in by_channel.items()]
    for outcome in await asyncio.gather(*channels, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


async def deliver_due(engine: Engine, limit: int = 500) -> int:
    """Take up what is due and nobody delivers: retries, what a lost worker left, what was held until now.

    Returns how many it delivered, or ruled about.
    """
    ruled = await release.let_go(engine, limit)
    token = new_id()
    queued = await engine.write(_take, engine, token, limit)
    unknown = [one for one in queued if one.channel not in engine.providers]
    if unknown:
        await engine.write(_no_provider, token, unknown)
    with heartbeat(engine, token):
        await deliver(engine, token, [one for one in queued if one.channel in engine.providers])
    return max(ruled, len(queued))


def _take(connection: sa.Connection, environment: str, engine: Engine, token: str, limit: int) -> list[Queued]:
    now = clock.now()
    taken = messages.claim(connection, environment, token=token, lease=engine.lease, now=now, limit=limit)
    if not taken:
        return []
    interrupted = messages.interrupted(connection, environment, [one.id for one in taken], now)
    lost = [one for one in taken if one.id in interrupted and one.delivery is Delivery.AT_MOST_ONCE]
    unknown = Outcome(OutcomeKind.UNKNOWN, detail="the worker was lost during the call")
    names = {channel: provider.id for channel, provider in engine.providers.items()}
    settled = [_settled(one, names.get(one.channel, ""), unknown, now) for one in lost]
    messages.settle(connection, environment, token, settled)
    counted = [replace(one, attempts=one.attempts + 1) if one.id in interrupted else one for one in taken]
    left = [one for one in counted if one.id not in {gone.id for gone in lost}]
    return release.in_hours(connection, engine, token, left, now)


def _no_provider(connection: sa.Connection, environment: str, token: str, queued: Sequence[Queued]) -> None:
    now = clock.now()
    outcome = Outcome(OutcomeKind.REJECTED, detail="no active integration for this channel any more")
    messages.settle(connection, environment, token, [_settled(one, "", outcome, now) for one in queued])


@dataclass(frozen=True, slots=True)
class Call:
    """One message's attempt: written before, answered after."""

    message: Queued
    number: int
    provider: str
    started_at: datetime
    outcome: Outcome | None = None
    finished_at: datetime | None = None


async def _deliver(
    engine: Engine, token: str, provider: Provider, queued: Sequence[Queued], stop: Callable[[], bool]
) -> None:
    """Whoever is cancelled here lets calls come to their answers: cut off, they would end as unknown."""
    cut: asyncio.CancelledError | None = None
    waves = asyncio.create_task(_wave_after_wave(engine, token, provider, queued, lambda: cut is not None or stop()))
    while not waves.done():
        try:
            await asyncio.wait([waves])
        except asyncio.CancelledError as error:
            cut = cut or error
    if cut is not None:
        raise cut from waves.exception()
    waves.result()


async def _wave_after_wave(
    engine: Engine, token: str, provider: Provider, queued: Sequence[Queued], stop: Callable[[], bool]
) -> None:
    """One transaction a wave: what an earlier wave came to, and what the next one is about to try.

    Two waves share the calls a provider takes at once: one is on its way while the next one is written.
    """
    waves: list[asyncio.Task[list[Call]]] = []
    finished: list[Call] = []
    try:
        for wave in takewhile(lambda _: not stop(), _waves(queued, max(1, provider.concurrency // 2))):
            waves.append(asyncio.create_task(_tried(engine, token, provider, finished, wave)))
            finished = await waves[-2] if len(waves) > 1 else []
    finally:
        outcomes = await asyncio.gather(*waves, return_exceptions=True)
        problems = [problem for problem in outcomes if isinstance(problem, BaseException)]
        # What was told already is told again after a failure: that changes nothing.
        untold = outcomes if problems else outcomes[-2:]
        await _tell(engine, token, provider, [call for calls in untold if isinstance(calls, list) for call in calls])
        for problem in problems:
            raise problem


async def _tell(engine: Engine, token: str, provider: Provider, calls: Sequence[Call]) -> None:
    """What calls came to is known here only, and untold they are made again: a database that is away is waited for."""
    for pause in pauses():
        with suppress(StoreUnavailable):
            await engine.write(_turn, token, provider.id, calls, [])
            return
        await asyncio.sleep(pause)
    await engine.write(_turn, token, provider.id, calls, [])


def pauses() -> Iterator[float]:
    """Seconds to wait between attempts, until it has been long enough."""
    ends, pause = time.monotonic() + PATIENCE, 0.1
    while time.monotonic() < ends:
        yield pause
        pause = min(2 * pause, 5.0)


async def _tried(
    engine: Engine, token: str, provider: Provider, finished: Sequence[Call], wave: Sequence[Queued]
) -> list[Call]:
    return await _call(provider, await engine.write(_turn, token, provider.id, finished, wave))


def _waves(queued: Sequence[Queued], size: int) -> Iterable[Sequence[Queued]]:
    for start in range(0, len(queued), size):
        yield queued[start : start + size]


def _turn(
    connection: sa.Connection,
    environment: str,
    token: str,
    provider: str,
    finished: Sequence[Call],
    wave: Sequence[Queued],
) -> list[Call]:
    """Begin only calls whose claim still stands: fenced by the message's own row."""
    now = clock.now()
    mine = messages.lock(connection, environment, [one.id for one in wave], token) if wave else set[str]()
    begun = [Call(one, one.attempts + 1, provider, now) for one in wave if one.id in mine]
    messages.record_attempts(connection, environment, [_attempt(call) for call in [*finished, *begun]])
    messages.settle(connection, environment, token, [_settled_call(call, now) for call in finished])
    return begun


def _attempt(call: Call) -> dict[str, Any]:
    outcome = call.outcome
    return {
        "message": call.message.id,
        "number": call.number,
        "provider": call.provider,
        "started_at": call.started_at,
        "finished_at": call.finished_at,
        "outcome": outcome.kind if outcome else None,
        "provider_message_id": outcome.provider_message_id if outcome else None,
        "detail": outcome.detail if outcome else None,
    }


async def _call(provider: Provider, begun: Sequence[Call]) -> list[Call]:
    """A message to several addresses (a person's devices) is one attempt, accepted as soon as one address took it."""
    dispatches = [(place, dispatch) for place, call in enumerate(begun) for dispatch in _dispatches(call)]
    outcomes = await provider.send([dispatch for _, dispatch in dispatches])
    by_call: dict[int, list[Outcome]] = {}
    for (place, _), outcome in zip(dispatches, outcomes, strict=True):
        by_call.setdefault(place, []).append(outcome)
    now = clock.now()
    return [
        Call(call.message, call.number, call.provider, call.started_at, _best(by_call[place]), now)
        for place, call in enumerate(begun)
    ]


def _dispatches(call: Call) -> list[Dispatch]:
    message = call.message
    addresses = message.address.split("\n")
    return [
        Dispatch(
            id=message.id if len(addresses) == 1 else f"{message.id}-{place}",
            channel=message.channel,
            address=address,
            content=message.content,
            workflow=message.workflow,
            subscriber=message.subscriber,
            attempt=call.number,
        )
        for place, address in enumerate(addresses, 1)
    ]


_ORDER = (OutcomeKind.ACCEPTED, OutcomeKind.UNKNOWN, OutcomeKind.RETRY, OutcomeKind.REJECTED)


def _best(outcomes: Sequence[Outcome]) -> Outcome:
    return min(outcomes, key=lambda outcome: _ORDER.index(outcome.kind))


def _settled_call(call: Call, now: datetime) -> dict[str, Any]:
    assert call.outcome is not None
    return _settled(call.message, call.provider, call.outcome, now)


def _settled(message: Queued, provider: str, outcome: Outcome, now: datetime) -> dict[str, Any]:
    """What an outcome makes of its message."""
    number = message.attempts + 1
    row: dict[str, Any] = {
        "id": message.id,
        "status": MessageStatus.QUEUED,
        "reason": None,
        "error": outcome.detail,
        "provider": provider,
        "provider_message_id": outcome.provider_message_id,
        "attempts": number,
        "next_attempt_at": None,
        "sent_at": None,
        "delivered_at": None,
        "claim": None,
    }
    return row | _change(message, outcome, number, now)


def _change(message: Queued, outcome: Outcome, number: int, now: datetime) -> dict[str, Any]:
    if outcome.kind is OutcomeKind.ACCEPTED:
        return {"status": MessageStatus.SENT, "sent_at": now, "error": None}
    if outcome.kind is OutcomeKind.REJECTED:
        return {"status": MessageStatus.FAILED, "reason": "rejected"}
    if outcome.kind is OutcomeKind.UNKNOWN and message.delivery is Delivery.AT_MOST_ONCE:
        return {"status": MessageStatus.UNKNOWN, "reason": "no_answer"}
    if number > len(RETRIES):
        return _given_up(outcome)
    wait = outcome.retry_after if outcome.retry_after is not None else RETRIES[number - 1]
    return {"next_attempt_at": now + timedelta(seconds=wait)}


def _given_up(outcome: Outcome) -> dict[str, Any]:
    if outcome.kind is OutcomeKind.UNKNOWN:
        return {"status": MessageStatus.UNKNOWN, "reason": "no_answer"}
    status = MessageStatus.TIMEOUT if outcome.never_connected else MessageStatus.FAILED
    return {"status": status, "reason": "gave_up"}
