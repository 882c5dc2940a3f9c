"""Messages that wait for their time: those whose time has come are taken by whoever lets them go."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from notify.model import MessageStatus
from notify.store.bulk import Row, given
from notify.store.tables import events, messages, notifications
from notify.store.types import among

_M, _N, _E = messages.c, notifications.c, events.c
_NAMES = ("id", "notification", "workflow", "subscriber", "channel", "priority", "created_at")
_HOURS = "quiet_hours"
_CHANGES = ("status", "reason", "address", "next_attempt_at", "released_at")


def is_due(environment: Any, now: Any) -> sa.ColumnElement[bool]:
    """Whether the time of any has come."""
    return sa.exists().where(*_due(environment, now))


def _due(environment: Any, now: Any) -> list[sa.ColumnElement[bool]]:
    return [_M.environment == environment, _M.status == MessageStatus.HELD, _M.next_attempt_at <= now]


def due(connection: sa.Connection, environment: str, now: datetime, limit: int) -> list[Any]:
    """Up to `limit` whose time has come, the earliest first: rows of id, subscriber."""
    query = sa.select(_M.id, _M.subscriber).where(*_due(environment, now))
    return list(connection.execute(query.order_by(*_ORDER).limit(limit)))


#: Those of one opening by urgency, then by age.
_ORDER = (_M.next_attempt_at, _M.priority.desc(), _M.created_at, _M.id)


def take(
    connection: sa.Connection, environment: str, now: datetime, limit: int, ids: Sequence[str] | None = None
) -> list[Any]:
    """Up to `limit` whose time has come and that nobody else has, in order, locked until the transaction ends.

    With `ids` only of these.
    Rows of the message's id, notification, workflow, subscriber, channel, priority, created_at and title, and of
    its event's kind, name and data.
    """
    about = sa.and_(_N.environment == _M.environment, _N.id == _M.notification)
    told = sa.and_(_E.environment == _N.environment, _E.uid == _N.event)
    title = sa.func.coalesce(_M.content["subject"].as_string(), _M.content["body"].as_string())
    columns = [*(_M[name] for name in _NAMES), title.label("title"), _E.kind, _E.name, _E.data]
    query = (
        sa.select(*columns)
        .select_from(messages.outerjoin(notifications, about).outerjoin(events, told))
        .where(*_due(environment, now))
        .order_by(*_ORDER)
        .limit(limit)
        .with_for_update(of=messages, skip_locked=True)
    )
    return list(connection.execute(query if ids is None else query.where(among(_M.id, ids))))


def settle(connection: sa.Connection, environment: str, rows: Sequence[Row]) -> None:
    """Write what became of taken messages: rows of `id`, `status`, `reason`, `address`, `next_attempt_at`,
    `released_at`.
    """
    if rows:
        new = given(connection, messages, rows, "id", *_CHANGES).c
        connection.execute(
            messages.update()
            .where(_M.environment == environment, _M.id == new.id)
            .values({name: new[name] for name in _CHANGES})
        )


def hold(connection: sa.Connection, environment: str, token: str, rows: Sequence[Row]) -> None:
    """Let messages claimed under `token` wait instead: rows of `id`, `reason`, `next_attempt_at`."""
    if rows:
        new = given(connection, messages, rows, "id", "reason", "next_attempt_at").c
        connection.execute(
            messages.update()
            .where(_M.environment == environment, _M.id == new.id, _M.claim == token)
            .values(
                status=MessageStatus.HELD,
                reason=new.reason,
                next_attempt_at=new.next_attempt_at,
                claim=None,
                lease_until=None,
            )
        )


def look_again(connection: sa.Connection, environment: str, people: Collection[str], now: datetime) -> None:
    """Let what waits for these people's hours be ruled about now, for their hours are others."""
    if not people:
        return
    waits = sa.and_(_M.environment == environment, _M.status == MessageStatus.HELD, _M.reason == _HOURS)
    theirs = sa.and_(waits, among(_M.subscriber, people), _M.next_attempt_at > now)
    locked = sa.select(_M.id).where(theirs).order_by(_M.id).with_for_update()
    if found := list(connection.execute(locked).scalars()):
        connection.execute(messages.update().where(waits, among(_M.id, found)).values(next_attempt_at=now))


def waiting(connection: sa.Connection, environment: str) -> Any:
    """How many are held, and until when the first of them is: a row of number, until."""
    until = sa.func.min(_M.next_attempt_at).label("until")
    query = sa.select(sa.func.count().label("number"), until).where(
        _M.environment == environment, _M.status == MessageStatus.HELD
    )
    return connection.execute(query).one()
