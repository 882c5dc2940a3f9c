"""What a direct send will come to, told before a worker has decided it: the same gates over the same facts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from notify.channels import catalog
from notify.matching import derive, message_id
from notify.model import Channel, MessageStatus, Subscriber
from notify.planning import Choices, Reason, why_not
from notify.rendering.templates import Templates
from notify.settings import Settings
from notify.store import people
from notify.store.database import Database
from notify.workflow import Workflow


def preview(
    settings: Settings,
    database: Database,
    workflow: Workflow,
    event: str,
    subscriber: str,
    asked_for: Sequence[str] | None,
) -> list[dict[str, Any]]:
    """`{channel, status, id, reason}` for each channel step the workflow has a template for; `id` is the message's."""
    environment = settings.environment
    notification = derive("notification", environment, event, workflow.id, subscriber)
    sendable = {Channel.IN_APP, *catalog.providers(settings)}
    answers: list[dict[str, Any]] = []
    with database.read() as connection:
        person = people.load(connection, environment, [subscriber]).get(subscriber) or Subscriber(subscriber)
        chosen = people.chosen(connection, environment, [subscriber], workflow.id)
        for step, channel in Templates([settings.flows / "templates"], {}).messages(workflow.id):
            reason = why_not(
                subscriber,
                channel,
                addresses=catalog.address(channel, person),
                workflow=workflow.preferences,
                critical=workflow.critical,
                choices=Choices.of(chosen, channel),
                asked_for=asked_for,
            )
            if reason is None and channel not in sendable:
                reason = Reason.NO_INTEGRATION
            id_ = message_id(environment, notification, f"{step}.{channel.value}")
            answers.append({"channel": channel.value, "status": _status(channel, reason), "id": id_, "reason": reason})
    return answers


def _status(channel: Channel, reason: Reason | None) -> str:
    """In-app is delivered as it is decided, the others wait for their provider."""
    if reason is not None:
        return (MessageStatus.FAILED if reason is Reason.NO_INTEGRATION else MessageStatus.SKIPPED).value
    return (MessageStatus.DELIVERED if channel is Channel.IN_APP else MessageStatus.QUEUED).value
