"""What a budget kept back and a digest is to tell of: called off with what it is about, as long as it is not told."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa

from notify.model import LIVE, MessageStatus, NotificationStatus, Verdict, derive
from notify.store.events import still_unmatched
from notify.store.tables import events, messages, notifications, windows
from notify.store.types import among
from notify.store.windows import CLOSED
from notify.store.withdrawals import withdraw_cancelled

_M, _N, _E = messages.c, notifications.c, events.c
#: The event that says of a message that it goes out no more.
BUDGET_EXCEEDED = "notify/budget.exceeded"
#: Whoever carries a closed digest is telling of it.
_TELLING = sa.exists().where(
    windows.c.environment == _N.environment, windows.c.carrier == _N.id, windows.c.state == CLOSED
)


def exceeded(message: str) -> str:
    """The uid of the event that says so of this message."""
    return derive("system", BUDGET_EXCEEDED, message)


def call_off(connection: sa.Connection, environment: str, ids: Sequence[str], reason: str, now: datetime) -> int:
    """Let no digest tell of what budgets kept back of these notifications; returns how many messages that were."""
    mine = sa.and_(_M.environment == environment, _M.status == MessageStatus.SUPPRESSED)
    kept_back = connection.execute(sa.select(_M.id).where(mine, among(_M.notification, ids))).scalars()
    about = {exceeded(id_): id_ for id_ in kept_back}
    if not about:
        return 0
    # Events first: one that is being matched is waited for, and its notifications are seen by what follows.
    untold = _withdraw(connection, environment, about, now) | _cancel(connection, environment, about, reason, now)
    gone = messages.update().where(mine, among(_M.id, sorted(about[uid] for uid in untold)))
    return connection.execute(gone.values(status=MessageStatus.CANCELLED, reason=reason)).rowcount


def _withdraw(connection: sa.Connection, environment: str, uids: Collection[str], now: datetime) -> set[str]:
    """Of these events those that nobody has matched, and nobody will."""
    found = still_unmatched(connection, environment, sorted(uids))
    mine = sa.and_(_E.environment == environment, among(_E.uid, found))
    connection.execute(events.update().where(mine).values(matched_at=now, verdict=Verdict.CANCELLED))
    return found


def _cancel(connection: sa.Connection, environment: str, uids: Collection[str], reason: str, now: datetime) -> set[str]:
    """Of these events those whose notifications had told nothing yet, and are cancelled."""
    mine = sa.and_(_N.environment == environment, among(_N.event, uids), _N.status.in_(LIVE), sa.not_(_TELLING))
    locked = sa.select(_N.id).where(mine).order_by(_N.id).with_for_update()
    found = list(connection.execute(locked).scalars())
    ended = {"status": NotificationStatus.CANCELLED, "reason": reason, "finished_at": now}
    cancelled = (
        notifications.update()
        .where(_N.environment == environment, among(_N.id, found), _N.status.in_(LIVE), sa.not_(_TELLING))
        .values(**ended, claim=None, lease_until=None, wake_at=None)
        .returning(_N.id, _N.event)
    )
    gone = connection.execute(cancelled).all()
    withdraw_cancelled(connection, environment, [row.id for row in gone], now)
    return {row.event for row in gone}
