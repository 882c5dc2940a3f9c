"""The notification log, read back: pages of messages, one message with everything around it, one person's day."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, TypedDict, Unpack

import sqlalchemy as sa

from notify.model import StepState
from notify.store import decisions
from notify.store.tables import attempts, events, messages, notifications, omissions, steps, window_items, windows
from notify.store.types import among

_M, _N, _E, _S, _A, _W, _I, _O = (
    table.c for table in (messages, notifications, events, steps, attempts, windows, window_items, omissions)
)
#: Where a page ended: `created_at` and `id` of its last row.
Cursor = tuple[datetime, str]
Query = sa.Select[Any]
#: What a log row has: everything about a message but its content and its claim.
FIELDS = (
    "id",
    "created_at",
    "workflow",
    "subscriber",
    "step",
    "channel",
    "status",
    "reason",
    "address",
    "error",
    "provider",
    "provider_message_id",
    "attempts",
    "next_attempt_at",
    "notification",
    "transaction_id",
    "sent_at",
    "delivered_at",
    "seen_at",
    "read_at",
)


class Filters(TypedDict, total=False):
    """What may narrow the log; a field that is absent or None narrows nothing. `until` is excluded."""

    workflow: str | None
    channel: str | None
    subscriber: str | None
    transaction_id: str | None
    status: str | None
    reason: str | None
    since: datetime | None
    until: datetime | None


def rows(
    connection: sa.Connection,
    environment: str,
    *,
    after: Cursor | None = None,
    limit: int = 50,
    **filters: Unpack[Filters],
) -> list[Any]:
    """Messages, the newest first: rows of FIELDS. `after` continues behind the last row of the page before."""
    columns: list[sa.ColumnElement[Any]] = [_M[name] for name in FIELDS]
    query: Query = sa.select(*columns).where(_M.environment == environment, *_narrowed(filters))
    if after is not None:
        created, id_ = after
        older = sa.or_(_M.created_at < created, _M.id < id_)
        query = query.where(_M.created_at <= created, older)
    return list(connection.execute(query.order_by(_M.created_at.desc(), _M.id.desc()).limit(limit)))


def _narrowed(filters: Filters) -> list[sa.ColumnElement[bool]]:
    since, until = filters.get("since"), filters.get("until")
    equal = {name: value for name, value in filters.items() if name not in ("since", "until") and value is not None}
    conditions = [_M[name] == value for name, value in equal.items()]
    conditions += [_M.created_at >= since] if since is not None else []
    conditions += [_M.created_at < until] if until is not None else []
    return conditions


# --- finding one --------------------------------------------------------------------------------

MESSAGE, NOTIFICATION, EVENT = "message", "notification", "event"
_KEYS = {MESSAGE: _M.id, NOTIFICATION: _N.id, EVENT: _E.uid}
#: Where the groups of an id begin and end, in hexadecimal digits.
_EDGES = (0, 8, 12, 16, 20, 32)


@dataclass(frozen=True, slots=True)
class Found:
    """A row an id or a prefix of one leads to."""

    kind: str
    id: str


def matching(connection: sa.Connection, environment: str, text: str, *kinds: str, limit: int = 10) -> list[Found]:
    """Rows of `kinds` (messages and notifications unless told) whose id is `text` or begins with it, `limit` of each.

    Asked as a range of the primary key, so the first characters are as cheap as the whole id.
    """
    digits = text.strip().lower().replace("-", "")
    if not re.fullmatch(r"[0-9a-f]{1,32}", digits):
        return []
    first, last = _as_id(digits.ljust(32, "0")), _as_id(digits.ljust(32, "f"))
    found: list[Found] = []
    for kind in kinds or (MESSAGE, NOTIFICATION):
        key = _KEYS[kind]
        query = sa.select(key).where(key.table.c.environment == environment, key >= first, key <= last)
        found += [Found(kind, id_) for id_ in connection.execute(query.order_by(key).limit(limit)).scalars()]
    return found


def _as_id(digits: str) -> str:
    return "-".join(digits[start:end] for start, end in pairwise(_EDGES))


def events_called(connection: sa.Connection, environment: str, id: str, limit: int = 10) -> list[Found]:
    """Events to which the application gave this id, the latest first."""
    query = sa.select(_E.uid).where(_E.environment == environment, _E.id == id).order_by(_E.received_at.desc())
    return [Found(EVENT, uid) for uid in connection.execute(query.limit(limit)).scalars()]


# --- one, with everything around it --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trace:
    """One step of a notification: what it came to, and how long it took (None while it goes on)."""

    key: str
    kind: str
    state: str
    value: Any
    error: Any
    started_at: datetime
    finished_at: datetime | None

    @property
    def seconds(self) -> float | None:
        """From its start to its end, waits included."""
        return None if self.finished_at is None else (self.finished_at - self.started_at).total_seconds()


def trace(connection: sa.Connection, environment: str, notification: str) -> list[Trace]:
    """The steps a notification took, in the order in which they began."""
    names = ("key", "kind", "state", "value", "error", "started_at", "finished_at")
    query = sa.select(*(_S[name] for name in names)).where(
        _S.environment == environment, _S.notification == notification
    )
    steps = {row.key: Trace(*row) for row in connection.execute(query)}
    for _, one in decisions.of(connection, environment, [notification]):
        assert one.started_at is not None
        if one.key not in steps or steps[one.key].state == StepState.PENDING:
            steps[one.key] = Trace(one.key, one.kind, one.state, one.value, one.error, one.started_at, one.started_at)
    return sorted(steps.values(), key=lambda one: (one.started_at, one.key))


@dataclass(frozen=True, slots=True)
class Whole:
    """A notification with everything that led to it and followed from it; rows as the store has them."""

    notification: Any
    event: Any
    steps: Sequence[Trace]
    #: Those the notification decided; of a merged one, those its digest's carrier decided.
    messages: Sequence[Any]
    #: Calls by message id, in order.
    attempts: dict[str, list[Any]]
    window: Any = None
    #: What the window collected, oldest first: rows of uid, name, id, ts, withdrawn_at, reason.
    items: Sequence[Any] = ()


def message(connection: sa.Connection, environment: str, id: str) -> Any:
    """One row of `messages`, or None."""
    return connection.execute(sa.select(messages).where(_M.environment == environment, _M.id == id)).first()


def whole(connection: sa.Connection, environment: str, notification: str) -> Whole | None:
    """Everything about one notification, or None if there is no such notification."""
    one = _one(connection, notifications, environment, notification)
    if one is None:
        return None
    window = _one(connection, windows, environment, one.window) if one.window else None
    decided = _decided(connection, environment, _decider(one, window))
    return Whole(
        notification=one,
        event=event(connection, environment, one.event),
        steps=trace(connection, environment, notification),
        messages=decided,
        attempts=_calls(connection, environment, [row.id for row in decided]),
        window=window,
        items=_items(connection, environment, window.id) if window else (),
    )


def _one(connection: sa.Connection, table: sa.Table, environment: str, id: str) -> Any:
    return connection.execute(sa.select(table).where(table.c.environment == environment, table.c.id == id)).first()


def _decider(notification: Any, window: Any) -> str:
    if notification.status == "merged" and window is not None and window.carrier is not None:
        return window.carrier
    return notification.id


def event(connection: sa.Connection, environment: str, uid: str) -> Any:
    """One row of `events`, or None."""
    return connection.execute(sa.select(events).where(_E.environment == environment, _E.uid == uid)).first()


def _decided(connection: sa.Connection, environment: str, notification: str) -> list[Any]:
    query = sa.select(messages).where(_M.environment == environment, _M.notification == notification)
    return list(connection.execute(query.order_by(_M.created_at, _M.step)))


def _calls(connection: sa.Connection, environment: str, ids: Sequence[str]) -> dict[str, list[Any]]:
    query = sa.select(attempts).where(_A.environment == environment, among(_A.message, ids))
    calls: dict[str, list[Any]] = {}
    for row in connection.execute(query.order_by(_A.message, _A.number)):
        calls.setdefault(row.message, []).append(row)
    return calls


def _items(connection: sa.Connection, environment: str, window: str) -> list[Any]:
    query = (
        sa.select(_E.uid, _E.name, _E.id, _I.ts, _I.withdrawn_at, _I.reason)
        .join(events, sa.and_(_E.environment == _I.environment, _E.uid == _I.event))
        .where(_I.environment == environment, _I.window == window)
        .order_by(_I.ts, _E.uid)
    )
    return list(connection.execute(query))


def led_to(connection: sa.Connection, environment: str, uid: str) -> tuple[list[Any], list[Any]]:
    """What an event became: its notifications (rows of id, workflow, subscriber, status, reason), its omissions."""
    told = sa.select(_N.id, _N.workflow, _N.subscriber, _N.status, _N.reason).where(
        _N.environment == environment, _N.event == uid
    )
    nobody = sa.select(omissions).where(_O.environment == environment, _O.event == uid)
    return (
        list(connection.execute(told.order_by(_N.workflow, _N.subscriber))),
        list(connection.execute(nobody.order_by(_O.workflow))),
    )


# --- one person's day ----------------------------------------------------------------------------


def day_notifications(
    connection: sa.Connection, environment: str, subscriber: str, since: datetime, until: datetime
) -> list[Any]:
    """A person's notifications that began, ended, or wait to wake in [since, until), with their window and event."""
    within = [sa.and_(column >= since, column < until) for column in (_N.created_at, _N.finished_at, _N.wake_at)]
    same_window = sa.and_(_W.environment == _N.environment, _W.id == _N.window)
    same_event = sa.and_(_E.environment == _N.environment, _E.uid == _N.event)
    columns: list[sa.ColumnElement[Any]] = [
        *(
            _N[name]
            for name in ("id", "workflow", "status", "reason", "created_at", "finished_at", "wake_at", "window")
        ),
        *(_W[name] for name in ("key", "state", "items", "opened_at", "closes_at", "closed_at")),
        _E.name.label("event"),
        _E.subject,
    ]
    query: Query = (
        sa.select(*columns)
        .select_from(notifications.outerjoin(windows, same_window).outerjoin(events, same_event))
        .where(_N.environment == environment, _N.subscriber == subscriber, sa.or_(*within))
        .order_by(_N.created_at, _N.id)
    )
    return list(connection.execute(query))


def day_messages(
    connection: sa.Connection, environment: str, subscriber: str, since: datetime, until: datetime
) -> list[Any]:
    """A person's messages decided, settled or read in [since, until): whole rows, the oldest first."""
    instants = (_M.created_at, _M.sent_at, _M.delivered_at, _M.read_at)
    within = [sa.and_(column >= since, column < until) for column in instants]
    query = (
        sa.select(messages)
        .where(_M.environment == environment, _M.subscriber == subscriber, sa.or_(*within))
        .order_by(_M.created_at, _M.step)
    )
    return list(connection.execute(query))
