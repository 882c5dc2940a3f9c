"""When something is next due by itself, whatever it is: what moves a clock has to stop there."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from notify.model import MessageStatus, NotificationStatus
from notify.store.tables import events, messages, notifications, windows
from notify.store.types import Instant
from notify.store.windows import CALENDAR, OPEN

_N, _W, _M, _E = notifications.c, windows.c, messages.c, events.c
_ENVIRONMENT, _NOW = sa.bindparam("environment", type_=sa.String), sa.bindparam("now", type_=Instant)
#: Calendar digests are closed by cron deployments, at the minutes of UTC at which one of them can end.
_TICK = timedelta(minutes=1)


def _first(column: sa.Column[datetime], *conditions: sa.ColumnElement[bool]) -> sa.ScalarSelect[datetime]:
    mine = column.table.c.environment == _ENVIRONMENT
    return sa.select(sa.func.min(column)).where(mine, *conditions).scalar_subquery()


#: When somebody wakes, a window closes by itself, a message is to be tried or is held until, an event has waited for;
#: and when the first calendar window wants to be closed.
_FIRSTS = sa.select(
    _first(_N.wake_at, _N.status == NotificationStatus.WAITING, _N.wake_at > _NOW),
    _first(_W.closes_at, _W.state == OPEN, _W.mode != CALENDAR, _W.closes_at > _NOW),
    _first(
        _M.next_attempt_at,
        _M.status.in_([MessageStatus.QUEUED, MessageStatus.HELD]),
        _M.next_attempt_at > _NOW,
    ),
    _first(_E.ts, _E.matched_at.is_(None), _E.ts > _NOW),
    _first(_W.closes_at, _W.state == OPEN, _W.mode == CALENDAR),
)


def next_instant(connection: sa.Connection, environment: str, now: datetime) -> datetime | None:
    """The first instant later than `now` at which something is due."""
    *ahead, calendar = connection.execute(_FIRSTS, {"environment": environment, "now": now}).one()
    # What should have been closed by now is closed at the next tick.
    tick = max(_tick_from(calendar), _tick_from(now + timedelta(microseconds=1))) if calendar else None
    return min((instant for instant in (*ahead, tick) if instant is not None), default=None)


def due_at_a_tick(connection: sa.Connection, environment: str, now: datetime) -> list[str]:
    """The workflows whose cron deployment, if it ticks at `now`, finds a calendar window to close."""
    if _tick_from(now) != now:
        return []
    query = sa.select(_W.workflow).where(
        _W.environment == environment, _W.state == OPEN, _W.mode == CALENDAR, _W.closes_at <= now
    )
    return list(connection.execute(query.distinct().order_by(_W.workflow)).scalars())


def _tick_from(instant: datetime) -> datetime:
    """The tick at this instant, or else the next one."""
    since = timedelta(seconds=instant.second, microseconds=instant.microsecond)
    return instant + (_TICK - since if since else since)
