"""What performs a round's steps for one batch: each kind in one group, deliveries beside the next round."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa

from notify import clock
from notify.engine import act, arrivals, decide, delivery, digest, invoking, live, throttle, wait
from notify.engine.audience import Audience
from notify.engine.context import Engine
from notify.engine.driver import Answer, Ending, Request
from notify.engine.system_events import system_events
from notify.errors import Halted
from notify.facts import is_bulk
from notify.model import Channel, Claimed, MessageStatus, Remembered, Subscriber
from notify.steps import (
    Burst,
    Collected,
    Decision,
    Digest,
    Fact,
    Invoke,
    Look,
    Recheck,
    Run,
    Sleep,
    Step,
    Throttle,
    WaitForEvent,
)
from notify.store import collected, events, memos, notifications, withdrawals
from notify.store.collected import Item
from notify.store.messages import Queued
from notify.store.wanted import want_alarms
from notify.timing import retry_at
from notify.workflow import Workflow

T = TypeVar("T")
_CHANNELS = frozenset(channel.value for channel in Channel)
_FACTS = frozenset(fact.value for fact in Fact)


class Stage(Protocol):
    """Where work is shown: a Prefect task run a group, or nowhere."""

    async def task(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """Run `work` under a name a person can read."""
        ...


class Quietly:
    """No stage at all: the work is just done."""

    async def task(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """Run `work`."""
        return await work()


@dataclass
class Tally:
    """What a batch came to."""

    notifications: set[str] = field(default_factory=lambda: set[str]())
    people: set[str] = field(default_factory=lambda: set[str]())
    endings: Counter[str] = field(default_factory=lambda: Counter[str]())
    decisions: Counter[tuple[str, str]] = field(default_factory=lambda: Counter[tuple[str, str]]())
    waiting: int = 0
    failures: Counter[str] = field(default_factory=lambda: Counter[str]())
    #: Whom an operator's cancelling kept from being told.
    cancelled: set[str] = field(default_factory=lambda: set[str]())


@dataclass
class Work:
    """Performs steps for the notifications claimed under one token."""

    engine: Engine
    workflow: Workflow
    token: str
    stage: Stage
    tally: Tally
    #: The flow run the work is done in, which may be cancelled and retried.
    flow_run: str | None = None
    stop: Callable[[], bool] = lambda: False
    bursts: dict[tuple[str, str], list[Item]] = field(default_factory=lambda: dict[tuple[str, str], list[Item]]())
    people: Mapping[str, Subscriber] = field(default_factory=lambda: dict[str, Subscriber]())
    outgoing: list[Queued] = field(default_factory=lambda: list[Queued]())
    deliveries: list[asyncio.Task[None]] = field(default_factory=lambda: list[asyncio.Task[None]]())

    def __post_init__(self) -> None:
        self.audience = Audience(self.engine, self.workflow.id, self.people)

    async def perform(self, kind: str, requests: Sequence[Request]) -> Sequence[Answer]:
        """One task for the group."""
        name = f"{_label(kind, requests)} · {_people(len({request.claimed.subscriber for request in requests}))}"
        return await self.stage.task(name, lambda: self._perform(kind, requests))

    async def _perform(self, kind: str, requests: Sequence[Request]) -> Sequence[Answer]:
        if kind in _CHANNELS:
            return await self._send(kind, requests)
        engine, token = self.engine, self.token
        if kind == "run":
            answers = await act.run(engine, self.workflow, token, requests)
        elif kind == "emit":
            answers = await act.emit(engine, token, requests)
        elif kind == "trigger":
            answers = await act.trigger(engine, token, requests)
        elif kind in _FACTS:
            answers = await engine.write(live.look, token, requests)
        elif kind == "sleep":
            answers = await engine.write(wait.wait, engine, self.workflow, token, requests)
        elif kind == "recheck":
            answers = await digest.recheck(engine, self.workflow, token, requests)
        elif kind == "throttle":
            answers = await engine.write(throttle.throttle, self.workflow, token, requests, self.people)
        else:
            answers = await engine.write(digest.digest, engine, self.workflow, token, requests)
        waiting = {request.claimed.id for request, one in zip(requests, answers, strict=True) if one.waits}
        self.tally.waiting += len(waiting)
        self.tally.decisions.update((kind, one.error.reason) for one in answers if isinstance(one.error, Halted))
        engine.bell.set()
        return answers

    async def _send(self, channel: str, requests: Sequence[Request]) -> list[Answer]:
        audience = self.audience
        await audience.meet(request.claimed.subscriber for request in requests)
        answers, queued = await asyncio.to_thread(
            decide.decide, self.engine, self.workflow, self.token, audience, requests
        )
        self.outgoing += queued
        for answer in answers:
            if isinstance(answer.value, Decision):
                told = answer.value.told and answer.value.until is None
                status = "told" if told else str(answer.value.reason or answer.value.status)
                self.tally.decisions[channel, status] += 1
        return answers

    def recollect(self, claimed: Claimed, step: Step[Any], remembered: Remembered) -> Any:
        """A remembered result as the body expects it."""
        value = remembered.value
        if step.kind in _CHANNELS:
            problem = (remembered.error or {}).get("message")
            until = value.get("until")
            at = datetime.fromisoformat(until) if until else None
            return Decision(MessageStatus(value["status"]), value["reason"], value["message"], problem, at)
        if isinstance(step, Sleep):
            return value["slept"]
        if isinstance(step, WaitForEvent):
            return arrivals.recalled(remembered)
        if isinstance(step, Invoke):
            return invoking.recalled(remembered)
        if isinstance(step, Digest):
            items = self.bursts.get((claimed.id, step.key), [])
            return digest.alone(claimed) if digest.was_past(remembered) else _burst(items)
        if isinstance(step, Recheck):
            return step.burst.without(value)
        if isinstance(step, Run):
            return act.result_type(step.function, bulk=is_bulk(step.function)).validate_python(value)
        if isinstance(step, Throttle):
            return None
        return bool(value) if isinstance(step, Look) else value

    async def finish(self, endings: Sequence[Ending]) -> None:
        """Record the endings, then deliver what the round decided beside whatever comes next.

        In this order, so that whoever is still cancelled has no call made: until it has ended, its messages are
        recalled with it.
        """
        self.audience.forget()
        if endings:
            ended = await self.engine.write(record, self.engine, self.workflow, self.token, endings, self.flow_run)
            self._count(endings, ended)
        if self.outgoing:
            outgoing, self.outgoing = self.outgoing, []
            name = f"deliver · {len(outgoing)} message{'s' if len(outgoing) > 1 else ''}"
            self.deliveries.append(asyncio.create_task(self._deliver(name, outgoing)))

    async def _deliver(self, name: str, outgoing: Sequence[Queued]) -> None:
        await self.stage.task(name, lambda: delivery.deliver(self.engine, self.token, outgoing, self.stop))

    def _count(self, endings: Sequence[Ending], ended: set[str]) -> None:
        for ending in endings:
            if ending.claimed.id not in ended:
                continue
            if ending.again:
                self.tally.waiting += 1
                continue
            self.tally.endings[ending.status] += 1
            if ending.error is not None:
                self.tally.failures[str(ending.error["message"])] += 1


def _burst(items: Sequence[Item]) -> Burst:
    found = [Collected(item.id, item.name, item.time, item.payload, item.reason) for item in items]
    live, gone = ([one for one in found if (one.reason is None) is kept] for kept in (True, False))
    return Burst(live, gone)


def _label(kind: str, requests: Sequence[Request]) -> str:
    if kind == "run":
        return requests[0].step.key
    return kind if all(request.step.kind == kind for request in requests) else "wait"


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count} people"


def record(
    connection: sa.Connection,
    environment: str,
    engine: Engine,
    workflow: Workflow,
    token: str,
    endings: Sequence[Ending],
    flow_run: str | None = None,
) -> set[str]:
    """End the notifications still held, those that may try again later, and emit what the system has to say of it."""
    notifications.resume(connection, environment, [ending.claimed.id for ending in endings if ending.waits], token)
    mine = notifications.lock(connection, environment, [ending.claimed.id for ending in endings], token)
    kept = [ending for ending in endings if ending.claimed.id in mine]
    now = clock.now()
    withdrawals.never_waited(connection, environment, [one.claimed.id for one in kept if one.waits], now)
    over = [ending for ending in kept if not ending.again]
    rows = [{"id": one.claimed.id, "status": one.status, "reason": one.reason, "error": one.error} for one in over]
    notifications.finish(connection, environment, rows, now, flow_run)
    invoking.ended(connection, environment, over, now)
    again = [_again(ending, now) for ending in kept if ending.again]
    notifications.suspend(connection, environment, again, now)
    errors = [{"id": ending.claimed.id, "error": ending.error} for ending in kept if ending.again]
    notifications.keep_errors(connection, environment, errors)
    want_alarms(connection, environment, workflow.id, [row["wake_at"] for row in again], now)
    events.accept(connection, environment, system_events(engine.registry, over, now))
    return mine


def _again(ending: Ending, now: datetime) -> dict[str, Any]:
    claimed = ending.claimed
    tries = claimed.tries + 1
    same = {"window": claimed.window, "reached_at": claimed.reached_at}
    return {"id": claimed.id, "wake_at": retry_at(tries, now), "tries": tries} | same


def with_memos(
    connection: sa.Connection, environment: str, claimed: Sequence[Claimed]
) -> tuple[dict[str, dict[str, Remembered]], dict[tuple[str, str], list[Item]]]:
    """What the claimed notifications remember, and what their digests collected."""
    ids = [one.id for one in claimed]
    memo = memos.recall(connection, environment, ids)
    digested = [one.id for one in claimed if one.window is not None]
    if not digested:
        return memo, {}
    return memo, _collected(connection, environment, digested)


def _collected(connection: sa.Connection, environment: str, ids: Sequence[str]) -> dict[tuple[str, str], list[Item]]:
    places = collected.places(connection, environment, ids)
    found = collected.contents(connection, environment, places.values())
    return {place: found.get(window, []) for place, window in places.items()}
