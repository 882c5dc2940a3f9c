"""Messages that were tried and wait to be tried again, or wait for their time: called off with what they are about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from notify.model import LIVE, MessageStatus, OutcomeKind
from notify.store import overflows
from notify.store.tables import attempts, messages, notifications
from notify.store.types import among

_N, _M, _A = notifications.c, messages.c, attempts.c
_RESTING = (MessageStatus.QUEUED, MessageStatus.HELD)
#: Nobody has one of these in hand: it waits for its next attempt.
_RESTS = sa.and_(_M.status.in_(_RESTING), _M.claim.is_(None))


def of_ended(connection: sa.Connection, environment: str, workflow: str, keys: Sequence[str]) -> list[Any]:
    """Ended notifications of a workflow under one of these keys with messages left: rows of id, cancel_key, event."""
    mine = sa.and_(_M.environment == environment, _M.workflow == workflow, _M.claim.is_(None))
    # Each has an index of its own.
    parts = (sa.select(_M.notification).where(mine, _M.status == status) for status in _RESTING)
    left = sa.union(*parts).subquery("left_over")
    query = (
        sa.select(_N.id, _N.cancel_key, _N.event)
        .join_from(left, notifications, _N.id == left.c.notification)
        .where(_N.environment == environment, among(_N.cancel_key, set(keys)), _N.status.not_in(LIVE))
    )
    return list(connection.execute(query))


def recall(connection: sa.Connection, environment: str, ids: Sequence[str], reason: str, now: datetime) -> int:
    """Try the messages of these notifications no more, and let no digest tell of them; returns how many.

    One whose last call nobody can tell the end of stays `unknown`: it may have arrived.
    """
    # Messages first: one that is being ruled about is waited for, and may be told in a digest after that.
    resting = _recall(connection, environment, ids, reason)
    return resting + overflows.call_off(connection, environment, ids, reason, now)


def _recall(connection: sa.Connection, environment: str, ids: Sequence[str], reason: str) -> int:
    mine = sa.and_(_M.environment == environment, among(_M.notification, ids), _RESTS)
    locked = sa.select(_M.id).where(mine).order_by(_M.id).with_for_update()
    found = list(connection.execute(locked).scalars())
    if not found:
        return 0
    lost = sa.exists().where(_A.environment == environment, _A.message == _M.id, _A.outcome == OutcomeKind.UNKNOWN)
    ending = sa.case((lost, MessageStatus.UNKNOWN.value), else_=MessageStatus.CANCELLED.value)
    gone = messages.update().where(_M.environment == environment, among(_M.id, found), _RESTS)
    return connection.execute(gone.values(status=ending, reason=reason)).rowcount
