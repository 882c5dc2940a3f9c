"""The channel step: address, preferences, rendering for a whole group, then one transaction that decides for good.

Nothing of the author's and nothing of the network runs between BEGIN and COMMIT.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from typing import Any

import sqlalchemy as sa

from notify import clock
from notify.channels import catalog
from notify.engine.audience import Audience
from notify.engine.context import Engine
from notify.engine.driver import LOST, Answer, Request
from notify.errors import InvalidTemplate, RenderFailed, TemplateMissing
from notify.matching import message_id
from notify.model import Channel, Content, MessageStatus, Subscriber
from notify.planning import Reason, why_not
from notify.steps import Decision, Send, Step
from notify.store import messages
from notify.store.messages import Queued
from notify.workflow import Workflow


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one channel step comes to for one person, before it is written."""

    request: Request
    status: MessageStatus
    reason: str | None = None
    content: Content | None = None
    addresses: Sequence[str] = ()
    error: str | None = None


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
        self._find = cache(partial(engine.contents.find, workflow.id))

    def verdicts(self) -> list[Verdict]:
        return [self._verdict(request) for request in self.requests]

    def _verdict(self, request: Request) -> Verdict:
        person = self.people[request.claimed.subscriber]
        addresses = catalog.address(self.channel, person)
        reason = Reason.ADDED_AFTER_START if request.past else self._why_not(request, addresses)
        if reason is not None:
            return Verdict(request, MessageStatus.SKIPPED, reason)
        if self.channel is not Channel.IN_APP and self.channel not in self.engine.providers:
            return Verdict(request, MessageStatus.FAILED, Reason.NO_INTEGRATION, error=_no_integration(self.channel))
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
            return Verdict(request, MessageStatus.FAILED, Reason.NOT_RENDERED, error=str(error))
        status = MessageStatus.DELIVERED if self.channel is Channel.IN_APP else MessageStatus.QUEUED
        return Verdict(request, status, None, content, addresses)

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


def payload_of(event: Any) -> Mapping[str, Any]:
    """What a workflow is about: a trigger's payload, or the event's own data."""
    return event.data.get("payload", {}) if event.kind == "trigger" else event.data


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
    now = clock.now()
    rows = [_message(engine.environment, workflow, one, token, now) for one in verdicts]
    kept = messages.add(connection, engine.environment, rows, token, engine.lease)
    pairs = list(zip(verdicts, rows, strict=True))
    queued = [_queued(row, one) for one, row in pairs if row["claim"] and row["id"] in kept]
    return [_answer(one, row["id"]) if row["id"] in kept else LOST for one, row in pairs], queued


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
        "next_attempt_at": now if queued else None,
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
    )


def _answer(one: Verdict, message: str) -> Answer:
    return Answer(Decision(one.status, one.reason, message, one.error))
