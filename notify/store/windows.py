"""Digest windows. An item is an event; a window is what several of one person's items share.

Windows follow the events' own times, so a backlog digests as it would have live: one window is open for a key, it
collects whatever joins, and where it ends is settled when it closes, from its items in order. That makes the result
independent of the order in which workers bring the items in.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from notify.model import DigestMode
from notify.store.tables import windows

_W = windows.c
OPEN, CLOSED, EMPTY = "open", "closed", "empty"
FIXED, DEBOUNCE, LOOKBACK, CALENDAR = DigestMode


def next_close(connection: sa.Connection, environment: str, workflow: str) -> datetime | None:
    """When the next window of a workflow wants to close by itself."""
    query = sa.select(sa.func.min(_W.closes_at)).where(
        _W.environment == environment, _W.workflow == workflow, _W.state == OPEN, _W.mode != CALENDAR
    )
    return connection.execute(query).scalar()


def is_due(environment: Any, workflow: Any, now: Any) -> sa.ColumnElement[bool]:
    """Whether a window of this workflow is past its end: one probe of the index, however many are open."""
    timed = sa.and_(_W.environment == environment, _W.workflow == workflow, _W.state == OPEN, _W.mode != CALENDAR)
    past = sa.select(_W.closes_at).where(timed, _W.closes_at <= now)
    return past.order_by(_W.closes_at).limit(1).scalar_subquery().is_not(None)


def any_due(connection: sa.Connection, environment: str, workflow: str, now: datetime) -> bool:
    """Whether a window of this workflow is past its end."""
    return bool(connection.execute(sa.select(is_due(environment, workflow, now))).scalar())


class Collecting(NamedTuple):
    """How many windows of a workflow collect, and when the next one closes."""

    people: int
    closes_at: datetime | None


def collecting(connection: sa.Connection, environment: str, workflow: str) -> Collecting:
    """What a workflow's digests still collect."""
    query = sa.select(sa.func.count(), sa.func.min(_W.closes_at)).where(
        _W.environment == environment, _W.workflow == workflow, _W.state == OPEN
    )
    count, closes_at = connection.execute(query).one()
    return Collecting(count, closes_at)


def open_windows(connection: sa.Connection, environment: str) -> list[Any]:
    """How many windows of each workflow collect, and when the first closes: rows of workflow, count, until."""
    query = (
        sa.select(_W.workflow, sa.func.count().label("count"), sa.func.min(_W.closes_at).label("until"))
        .where(_W.environment == environment, _W.state == OPEN)
        .group_by(_W.workflow)
        .order_by(_W.workflow)
    )
    return list(connection.execute(query))


def closing(connection: sa.Connection, environment: str) -> list[Any]:
    """When the next window of each workflow closes by itself: rows of workflow, until."""
    query = (
        sa.select(_W.workflow, sa.func.min(_W.closes_at).label("until"))
        .where(_W.environment == environment, _W.state == OPEN, _W.mode != CALENDAR)
        .group_by(_W.workflow)
    )
    return list(connection.execute(query))
