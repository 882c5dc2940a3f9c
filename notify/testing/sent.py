"""What people were sent, in the order in which it happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from notify.model import Channel, MessageStatus
from notify.store.told import Everything
from notify.testing.instants import written
from notify.timing import zone

TOLD = (MessageStatus.SENT, MessageStatus.DELIVERED)
_CHANNELS = list(Channel)


@dataclass(frozen=True, slots=True)
class Message:
    """One message that a provider took, or that is in somebody's inbox."""

    person: str
    channel: str
    subject: str | None
    body: str
    #: When it was sent, in the person's own zone.
    at: datetime
    workflow: str
    step: str
    #: What else the channel carries: the links of an in-app message, the headers of an e-mail, its `text`.
    extra: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"<{self.channel} to {self.person}, {written(self.at)}: {self.title!r}>"

    @property
    def title(self) -> str:
        """The subject, or the first line of a body without one."""
        lines = (self.subject or self.body).strip().splitlines()
        return lines[0] if lines else ""


class Sent(list[Message]):
    """Messages in order: a list, and what each of them says as a list of its own."""

    @property
    def subjects(self) -> list[str | None]:
        """Their subjects."""
        return [message.subject for message in self]

    @property
    def bodies(self) -> list[str]:
        """Their bodies: HTML for e-mail, plain text elsewhere."""
        return [message.body for message in self]

    @property
    def channels(self) -> list[str]:
        """Their channels: `in_app`, `email`, `sms`, `push`."""
        return [message.channel for message in self]

    @property
    def times(self) -> list[str]:
        """When each was sent, by the person's own clock: `2026-03-30 09:00`."""
        return [written(message.at) for message in self]


def all_sent(found: Everything) -> Sent:
    """Everything that was sent.

    What happened at one instant stands in the order of the events that led to it; one step's channels in the order of
    `Channel`, whichever was quicker.
    """
    order = Order(found)
    told = [row for row in found.messages if row.status in TOLD]
    rows = sorted(told, key=lambda row: (row.sent_at, *order.of_message(row)))
    return Sent(_message(row, found.zones.get(row.subscriber)) for row in rows)


class Order:
    """The order in which things were asked for, which is the same in every run; ids are not."""

    def __init__(self, found: Everything) -> None:
        events = {row.uid: place for place, row in enumerate(found.events)}
        self._notifications = {
            row.id: (events.get(row.event, 0), row.workflow, row.subscriber) for row in found.notifications
        }
        self._steps: dict[tuple[str, str], int] = {}
        for place, row in enumerate(found.messages):
            self._steps.setdefault((row.notification, step_of(row)), place)

    def of(self, notification: str) -> tuple[int, str, str]:
        """By the event, then by workflow and person."""
        return self._notifications[notification]

    def of_message(self, row: Any) -> tuple[Any, ...]:
        """By the notification, then by step and channel."""
        step = self._steps[row.notification, step_of(row)]
        return (*self.of(row.notification), step, _CHANNELS.index(Channel(row.channel)))


def _message(row: Any, zone_name: str | None) -> Message:
    content = row.content
    return Message(
        person=row.subscriber,
        channel=row.channel,
        subject=content["subject"],
        body=content["body"],
        at=row.sent_at.astimezone(zone(zone_name)),
        workflow=row.workflow,
        step=step_of(row),
        extra={**(content.get("extra") or {}), "text": content.get("text")},
    )


def step_of(row: Any) -> str:
    """The step as its author calls it: `due` of `due.email`."""
    return row.step.removesuffix(f".{row.channel}")
