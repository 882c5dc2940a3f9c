"""The channel step: address, preferences, rendering, hours for a whole group, then one transaction decides for good.

Budgets are asked in that transaction, for others spend of them too.

Nothing of the author's and nothing of the network runs between BEGIN and COMMIT.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, partial
from typing import Any

import sqlalchemy as sa

from notify import clock
from notify.channels import catalog
from notify.engine import spending
from notify.engine.audience import Audience
from notify.engine.context import Engine
from notify.engine.driver import LOST, Answer, Request
from notify.engine.spending import Asking, Ruling
from notify.engine.system_events import budget_exceeded
from notify.errors import InvalidTemplate, RenderFailed, TemplateMissing
from notify.matching import message_id, payload_of
from notify.model import Channel, Content, Event, MessageStatus, StepState, Subscriber
from notify.planning import Reason, why_not
from notify.steps import Decision, Send, Step
from notify.store import events, memos, messages
from notify.store.messages import Queued
from notify.workflow import Workflow


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one channel step comes to for one person, before it is written."""

    request: Request
    person: Subscriber
    status: MessageStatus
    reason: str | None = None
    content: Content | None = None
    addresses: Sequence[str] = ()
    error: str | None = None
    #: When it is to go out, where it is held.
    until: datetime | None = None


def decide(
    engine: Engine, workflow: Workflow, token: str, audience: Audience, requests: Sequence[Request]
) -> tuple[list[Answer], list[Queued]]:
    """Decide one channel for a group of people met by `audience`.

    Returns the answers in order and the messages to deliver, claimed by `token`.
    """
    verdicts = _Group(engine, workflow, audience, requests).verdicts()
    return engine.database.transact(lambda connection: _write(connection, engine, workflow, token, verdicts))


class _Group:
    """What a group's decision needs."""

    def __init__(self, engine: Engine, workflow: Workflow, audience: Audience, requests: Sequence[Request]) -> None:
        self.engine = engine
        self.workflow = workflow
        self.requests = requests
        self.channel = _send(requests[0].step).channel
        self.people = audience.known
        self.choices = audience.choices(self.channel)
        self.now = clock.now()
        self._find = cache(partial(engine.contents.find, workflow.id))

    def verdicts(self) -> list[Verdict]:
        return [self._verdict(request) for request in self.requests]

    def _verdict(self, request: Request) -> Verdict:
        person = self.people[request.claimed.subscriber]
        addresses = catalog.address(self.channel, person)
        reason = Reason.ADDED_AFTER_START if request.past else self._why_not(request, addresses)
        if reason is not None:
            return Verdict(request, person, MessageStatus.SKIPPED, reason)
        if self.channel is not Channel.IN_APP and self.channel not in self.engine.providers:
            error = _no_integration(self.channel)
            return Verdict(request, person, MessageStatus.FAILED, Reason.NO_INTEGRATION, error=error)
        return self._rendered(request, person, addresses)

    def _why_not(self, request: Request, addresses: Sequence[str]) -> Reason | None:
        return why_not(
            request.claimed.subscriber,
            self.channel,
            addresses=addresses,
            workflow=self.workflow.preferences,
            critical=self.workflow.critical,
            choices=self.choices,
            asked_for=request.claimed.event.data.get("channels") if request.claimed.event.kind == "trigger" else None,
        )

    def _rendered(self, request: Request, person: Subscriber, addresses: Sequence[str]) -> Verdict:
        try:
            content = self._render(request, person)
        except (InvalidTemplate, RenderFailed, TemplateMissing) as error:
            return Verdict(request, person, MessageStatus.FAILED, Reason.NOT_RENDERED, error=str(error))
        if self.channel is Channel.IN_APP:
            return Verdict(request, person, MessageStatus.DELIVERED, None, content, addresses)
        opening = self._opening(request, person)
        if opening > self.now:
            held = MessageStatus.HELD
            return Verdict(request, person, held, Reason.QUIET_HOURS, content, addresses, until=opening)
        return Verdict(request, person, MessageStatus.QUEUED, None, content, addresses)

    def _opening(self, request: Request, person: Subscriber) -> datetime:
        limits = self.engine.limits
        waits = limits.keeps_hours(self.workflow, self.channel, request.claimed.priority)
        return limits.opens(person, self.now) if waits else self.now

    def _render(self, request: Request, person: Subscriber) -> Content:
        send = _send(request.step)
        claimed = request.claimed
        template = self._find(send.step, self.channel, person.locale, claimed.version)
        context = {
            "subscriber": person,
            "payload": payload_of(claimed.event),
            "event": claimed.event,
            "workflow": self.workflow.id,
            **send.context,
        }
        return template.render(context)


def _send(step: Step[Any]) -> Send:
    assert isinstance(step, Send)
    return step


def _no_integration(channel: Channel) -> str:
    return f"no active integration sends {channel.value}; set one up and trigger again"


def _write(
    connection: sa.Connection,
    engine: Engine,
    workflow: Workflow,
    token: str,
    verdicts: Sequence[Verdict],
) -> tuple[list[Answer], list[Queued]]:
    verdicts, now = _within_budgets(connection, engine, workflow, verdicts)
    rows = [_message(engine.environment, workflow, one, token, now) for one in verdicts]
    kept = messages.add(connection, engine.environment, rows, token, engine.lease)
    pairs = list(zip(verdicts, rows, strict=True))
    _keep_what_waits(connection, engine.environment, [(one, row) for one, row in pairs if row["id"] in kept], now)
    queued = [_queued(row, one) for one, row in pairs if row["claim"] and row["id"] in kept]
    return [_answer(one, row["id"]) if row["id"] in kept else LOST for one, row in pairs], queued


def _within_budgets(
    connection: sa.Connection, engine: Engine, workflow: Workflow, verdicts: Sequence[Verdict]
) -> tuple[Sequence[Verdict], datetime]:
    """What would go out, as far as the people's budgets reach; and the instant from which it counts."""
    askings = [_asking(workflow, one) for one in verdicts if one.status is MessageStatus.QUEUED]
    people = spending.keeping(engine, askings)
    if not people:
        return verdicts, clock.now()
    spending.lock(connection, engine, people)
    now = clock.now()
    rulings = iter(spending.spend(connection, engine, askings, now, behind=True))
    return [_ruled(one, next(rulings)) if one.status is MessageStatus.QUEUED else one for one in verdicts], now


def _ruled(one: Verdict, ruling: Ruling) -> Verdict:
    return replace(one, status=ruling.status, reason=ruling.reason, until=ruling.until)


def _asking(workflow: Workflow, one: Verdict) -> Asking:
    claimed = one.request.claimed
    channel = _send(one.request.step).channel
    return Asking(one.person, channel, claimed.priority, workflow, claimed.event.name)


def _keep_what_waits(
    connection: sa.Connection, environment: str, pairs: Sequence[tuple[Verdict, Mapping[str, Any]]], now: datetime
) -> None:
    """A held message goes its own way later, so its step remembers what was decided; a digested one is told of."""
    held = [_remembered(row, now) for one, row in pairs if one.status is MessageStatus.HELD]
    memos.remember(connection, environment, held)
    digested = [_exceeded(one, row, now) for one, row in pairs if one.status is MessageStatus.SUPPRESSED]
    if digested:
        events.accept(connection, environment, digested)


def _remembered(row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    value = {"status": row["status"], "reason": row["reason"], "message": row["id"], "until": row["next_attempt_at"]}
    return {
        "notification": row["notification"],
        "key": row["step"],
        "kind": row["channel"],
        "state": StepState.COMPLETED,
        "value": value,
        "started_at": now,
        "finished_at": now,
    }


def _exceeded(one: Verdict, row: Mapping[str, Any], now: datetime) -> Event:
    assert one.content is not None
    title = one.content.subject or one.content.body
    return budget_exceeded(row["id"], row["workflow"], row["subscriber"], row["channel"], title, now)


def _message(environment: str, workflow: Workflow, one: Verdict, token: str, now: datetime) -> dict[str, Any]:
    claimed, send = one.request.claimed, _send(one.request.step)
    queued = one.status is MessageStatus.QUEUED
    delivered = now if one.status is MessageStatus.DELIVERED else None
    return {
        "id": message_id(environment, claimed.id, send.key),
        "notification": claimed.id,
        "workflow": workflow.id,
        "subscriber": claimed.subscriber,
        "transaction_id": claimed.transaction_id,
        "step": send.key,
        "channel": send.channel,
        "priority": claimed.priority,
        "status": one.status,
        "reason": one.reason,
        "content": one.content,
        "address": "\n".join(one.addresses) or None,
        "delivery": workflow.delivery,
        "error": one.error,
        "window": claimed.window,
        "claim": token if queued else None,
        "next_attempt_at": now if queued else one.until,
        "attempts": 0,
        "created_at": now,
        "sent_at": delivered,
        "delivered_at": delivered,
    }


def _queued(row: Mapping[str, Any], one: Verdict) -> Queued:
    assert one.content is not None
    return Queued(
        row["id"],
        row["workflow"],
        row["subscriber"],
        row["channel"],
        row["address"],
        one.content,
        row["delivery"],
        attempts=0,
        priority=row["priority"],
    )


def _answer(one: Verdict, message: str) -> Answer:
    return Answer(Decision(one.status, one.reason, message, one.error, one.until))
