"""The nouns, frozen. They hold facts and decide nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

import uuid_utils

Json = Any
#: A JSON object as the application gave it.
JsonObject = Mapping[str, Any]

_NAMESPACE = uuid_utils.UUID("5f0d3a52-0d0c-5c1e-9d5a-6e6f74696679")


def new_id() -> str:
    """A fresh time-ordered id (UUIDv7)."""
    return str(uuid_utils.uuid7())


def derive(*parts: str) -> str:
    """The id that follows from `parts` (UUIDv5): deciding twice gives the same id, so no second row."""
    return str(uuid_utils.uuid5(_NAMESPACE, "\x1f".join(parts)))


def is_id(text: str) -> bool:
    """Whether `text` could be one of our ids."""
    try:
        return str(uuid_utils.UUID(text)) == text.lower()
    except ValueError:
        return False


class Channel(StrEnum):
    """Where a message can go."""

    IN_APP = "in_app"
    EMAIL = "email"
    SMS = "sms"
    PUSH = "push"
    CHAT = "chat"
    WEBHOOK = "webhook"


class Priority(IntEnum):
    """The order of the queues; higher goes first."""

    LOW = 0
    NORMAL = 1
    HIGH = 2
    CRITICAL = 3


class EventKind(StrEnum):
    """What an intake row asks for."""

    EVENT = "event"
    TRIGGER = "trigger"


class Verdict(StrEnum):
    """What intake decided about an event."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CANCELLED = "cancelled"


class NotificationStatus(StrEnum):
    """Where one notification stands (one workflow for one subscriber for one trigger)."""

    READY = "ready"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    MERGED = "merged"
    CANCELLED = "cancelled"
    FAILED = "failed"


LIVE = (NotificationStatus.READY, NotificationStatus.RUNNING, NotificationStatus.WAITING)
#: Channels that reach people where they are: an inbox waits for them, a webhook tells a machine.
INTERRUPTING = (Channel.EMAIL, Channel.SMS, Channel.PUSH, Channel.CHAT)


class StepState(StrEnum):
    """Where one step of a notification stands."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    DELAYED = "delayed"
    CANCELLED = "cancelled"
    MERGED = "merged"
    SKIPPED = "skipped"


class MessageStatus(StrEnum):
    """Where one message stands in the notification log."""

    QUEUED = "queued"
    HELD = "held"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    BOUNCED = "bounced"
    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    SUPPRESSED = "suppressed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class OutcomeKind(StrEnum):
    """What a call to a provider came to."""

    #: The provider took responsibility for the message.
    ACCEPTED = "accepted"
    #: The provider will never take this message (bad address, bad content): final.
    REJECTED = "rejected"
    #: The provider did not take it and may later (429, 5xx before acceptance, no connection).
    RETRY = "retry"
    #: The call was made and nobody can say whether it was taken (time-out after sending, dropped connection).
    UNKNOWN = "unknown"


class DigestMode(StrEnum):
    """When a digest's window ends."""

    #: So long after its first event.
    FIXED = "fixed"
    #: Once nothing came for so long, and a maximum after its first event at the latest.
    DEBOUNCE = "debounce"
    #: Like FIXED, but an event that had none before it for so long passes alone and at once.
    LOOKBACK = "lookback"
    #: At an instant of the calendar, when the digest's cron deployment closes it.
    CALENDAR = "calendar"


class Delivery(StrEnum):
    """What an author prefers when a provider's answer is lost."""

    AT_LEAST_ONCE = "at_least_once"
    AT_MOST_ONCE = "at_most_once"


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, or a request to run a workflow, as intake accepted it."""

    uid: str
    kind: EventKind
    name: str
    data: JsonObject
    ts: datetime
    received_at: datetime
    id: str | None = None
    v: str | None = None
    user: JsonObject | None = None
    #: What the event is about (a task's id, say), where the catalogue names the field.
    subject: str | None = None

    @property
    def transaction_id(self) -> str:
        """What cancels it and finds it again: the caller's id for a trigger, otherwise the event's own."""
        return self.id if self.kind is EventKind.TRIGGER and self.id else self.uid


@dataclass(frozen=True, slots=True)
class Receipt:
    """What intake answers for one event or trigger."""

    uid: str
    name: str
    id: str | None
    verdict: Verdict | None
    transaction_id: str


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A person, under the application's own id (any string)."""

    id: str
    email: str | None = None
    phone: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    avatar: str | None = None
    locale: str | None = None
    timezone: str | None = None
    data: JsonObject = field(default_factory=lambda: {})
    #: `[{"providerId": "fcm", "credentials": {"deviceTokens": [...]}}, …]`
    channels: Sequence[JsonObject] = ()
    #: When messages may reach the person: `{"isEnabled": true, "weeklySchedule": {"monday": {…}, …}}`; None is always.
    schedule: JsonObject | None = None
    #: Whether the person is connected now, and since when that is known; None where nobody said.
    online: bool | None = None
    online_at: datetime | None = None

    @property
    def name(self) -> str:
        """First and last name, or the id when neither is known."""
        return " ".join(part for part in (self.first_name, self.last_name) if part) or self.id


@dataclass(frozen=True, slots=True)
class Preference:
    """One choice of one person; `workflow` None is the person's choice for every workflow."""

    subscriber: str
    workflow: str | None
    channel: Channel
    enabled: bool


@dataclass(frozen=True, slots=True)
class Content:
    """A rendered message. `body` is HTML for e-mail, plain text elsewhere; `text` is e-mail's plain part."""

    subject: str | None
    body: str
    text: str | None = None
    #: in-app: avatar, redirect, primaryAction, secondaryAction, data; push: data, image, icon; e-mail: headers
    extra: JsonObject = field(default_factory=lambda: {})


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One message handed to a provider: a call to make."""

    #: The message's id: stable across attempts, so it serves as Message-ID and idempotency key.
    id: str
    channel: Channel
    #: E-mail address, phone number, or device token.
    address: str
    content: Content
    workflow: str
    subscriber: str
    #: 1 for the first call.
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Remembered:
    """A step's memory: its result, or the error it raised for good."""

    key: str
    kind: str
    state: StepState
    value: Any = None
    error: JsonObject | None = None
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """A notification this worker may decide, until its lease ends."""

    id: str
    workflow: str
    subscriber: str
    event: Event
    transaction_id: str
    ts: datetime
    priority: int
    version: str | None
    window: str | None
    tries: int
    started_at: datetime
    memo: Mapping[str, Remembered] = field(default_factory=lambda: {})
    #: The end of its last wait; None until it waited.
    reached_at: datetime | None = None
    #: When the event was taken in, until it first waited: what had passed by then was too late.
    taken_in_at: datetime | None = None

    @property
    def own_time(self) -> datetime:
        """How far it has come: its event's instant, or the end of its last wait, however late it is worked on."""
        return self.reached_at or self.ts


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call came to; `detail` is a sentence for the log."""

    kind: OutcomeKind
    provider_message_id: str | None = None
    detail: str | None = None
    #: Seconds the provider asked us to wait.
    retry_after: float | None = None
    #: True when the call never reached the provider.
    never_connected: bool = False
