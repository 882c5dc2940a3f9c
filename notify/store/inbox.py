"""The inbox: in-app messages of one person, and what they did with them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from notify.model import Channel, MessageStatus
from notify.store.tables import messages
from notify.store.types import among

_M = messages.c


def _mine(environment: str, subscriber: str, unread: bool) -> sa.ColumnElement[bool]:
    shown = sa.and_(
        _M.environment == environment,
        _M.subscriber == subscriber,
        _M.channel == Channel.IN_APP,
        _M.status == MessageStatus.DELIVERED,
    )
    return sa.and_(shown, _M.read_at.is_(None)) if unread else shown


def items(
    connection: sa.Connection, environment: str, subscriber: str, *, unread: bool, limit: int, offset: int
) -> list[Any]:
    """Rows of `messages`, the newest first."""
    query = (
        sa.select(messages)
        .where(_mine(environment, subscriber, unread))
        .order_by(_M.created_at.desc(), _M.id)
        .limit(limit)
        .offset(offset)
    )
    return list(connection.execute(query))


def count(connection: sa.Connection, environment: str, subscriber: str, *, unread: bool) -> int:
    """How many items one person has."""
    query = sa.select(sa.func.count()).select_from(messages).where(_mine(environment, subscriber, unread))
    return connection.execute(query).scalar_one()


def mark(
    connection: sa.Connection,
    environment: str,
    subscriber: str,
    ids: Sequence[str],
    *,
    read: bool | None,
    now: datetime,
) -> int:
    """Mark as seen, and as read or not where `read` says; what was read before keeps its instant.

    Returns how many were found.
    """
    mine = sa.and_(_mine(environment, subscriber, unread=False), among(_M.id, ids))
    values: dict[str, Any] = {"seen_at": sa.func.coalesce(_M.seen_at, sa.bindparam("now", now, _M.seen_at.type))}
    if read is not None:
        values["read_at"] = sa.func.coalesce(_M.read_at, sa.bindparam("now", now, _M.read_at.type)) if read else None
    return connection.execute(messages.update().where(mine).values(values)).rowcount


def of_notifications(connection: sa.Connection, environment: str, ids: Sequence[str]) -> list[Any]:
    """What became of the in-app messages of these notifications: rows of notification, step, seen_at, read_at."""
    query = sa.select(_M.notification, _M.step, _M.seen_at, _M.read_at).where(
        _M.environment == environment, among(_M.notification, ids), _M.channel == Channel.IN_APP
    )
    return list(connection.execute(query))
