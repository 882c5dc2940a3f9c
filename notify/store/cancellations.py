"""Cancelling what has not happened yet: by transaction, or by an event with an equal key."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from notify.model import LIVE, MessageStatus, NotificationStatus
from notify.store import events, fanouts, recalls
from notify.store.bulk import Row
from notify.store.tables import attempts, messages, notifications, window_items, windows
from notify.store.types import among
from notify.store.withdrawals import withdraw_cancelled

_N = notifications.c
_CARRIED = (
    sa.exists()
    .where(window_items.c.environment == _N.environment, window_items.c.notification == _N.id)
    .where(windows.c.environment == _N.environment, windows.c.id == window_items.c.window)
    .where(windows.c.carrier == _N.id, windows.c.state == "closed", windows.c["items"] > 1)
)
#: A notification that carries a closed digest of several events: the end of one of them cannot end it.
_CANCELLABLE = sa.or_(_N.window.is_(None), sa.not_(_CARRIED))


class Cancelled(NamedTuple):
    """The notifications that were cancelled, of them those that were collecting in a digest, and how much else."""

    notifications: list[str]
    collecting: int = 0
    #: Messages that waited for another attempt, for the person's hours, or to be told in an overflow's digest.
    messages: int = 0
    #: Events that waited for their time.
    events: int = 0


def by_transaction(
    connection: sa.Connection, environment: str, transaction_id: str, reason: str, now: datetime
) -> Cancelled:
    """Cancel everything unfinished of one trigger or event: sleepers, members of digests, retries, held events."""
    mine = sa.and_(_N.transaction_id == transaction_id, _CANCELLABLE)
    # Events first: one that is being matched is waited for, and its notifications are seen by what follows.
    withdrawn = events.cancel(connection, environment, transaction_id, now)
    fanouts.cancel(connection, environment, transaction_id, now)
    live = _cancel(connection, environment, sa.and_(mine, _N.status.in_(LIVE)), reason, now)
    ended = sa.select(_N.id).where(_N.environment == environment, mine, _N.status.not_in(LIVE))
    rest = recalls.recall(connection, environment, list(connection.execute(ended).scalars()), reason, now)
    collecting = _collecting(connection, environment, live.notifications)
    return live._replace(collecting=collecting, messages=live.messages + rest, events=withdrawn)


def _collecting(connection: sa.Connection, environment: str, ids: Sequence[str]) -> int:
    """How many of these took their events out of a digest that is still open."""
    open_ = sa.and_(windows.c.environment == environment, windows.c.id == window_items.c.window)
    query = (
        sa.select(sa.func.count(sa.distinct(window_items.c.notification)))
        .join_from(window_items, windows, open_)
        .where(window_items.c.environment == environment, among(window_items.c.notification, ids))
        .where(windows.c.state == "open")
    )
    return connection.execute(query).scalar_one() if ids else 0


def sleepers(
    connection: sa.Connection,
    environment: str,
    workflow: str,
    *,
    after: datetime | None,
    until: datetime,
    reason: str,
    now: datetime,
) -> list[str]:
    """Cancel those of a workflow that wake, or whose window closes, in (`after`, `until`]; returns their ids."""
    waiting = sa.and_(_N.workflow == workflow, _N.status == NotificationStatus.WAITING)
    closing = sa.select(windows.c.id).where(
        windows.c.environment == environment,
        windows.c.workflow == workflow,
        windows.c.state == "open",
        windows.c.mode != "calendar",
        _within(windows.c.closes_at, after, until),
    )
    due = sa.or_(_within(_N.wake_at, after, until), sa.and_(_N.wake_at.is_(None), _N.window.in_(closing)))
    return _cancel(connection, environment, sa.and_(waiting, due), reason, now).notifications


def _within(column: sa.ColumnElement[Any], after: datetime | None, until: datetime) -> sa.ColumnElement[bool]:
    return column <= until if after is None else sa.and_(column <= until, column > after)


def held(connection: sa.Connection, environment: str, token: str, reason: str, now: datetime) -> list[str]:
    """Cancel what is claimed under `token`; returns the ids."""
    mine = sa.and_(_N.status == NotificationStatus.RUNNING, _N.claim == token)
    return _cancel(connection, environment, mine, reason, now).notifications


def undelivered(connection: sa.Connection, environment: str, token: str, reason: str) -> int:
    """Cancel the messages claimed under `token` that no provider has been asked to take; returns how many."""
    mine = sa.and_(messages.c.environment == environment, messages.c.claim == token)
    untried = sa.and_(messages.c.status == MessageStatus.QUEUED, messages.c.attempts == 0)
    gone = messages.update().where(mine, untried).values(status=MessageStatus.CANCELLED, reason=reason, claim=None)
    return connection.execute(gone).rowcount


def _cancel(
    connection: sa.Connection, environment: str, mine: sa.ColumnElement[bool], reason: str, now: datetime
) -> Cancelled:
    ids = _locked(connection, environment, mine)
    gone = notifications.update().where(_N.environment == environment, among(_N.id, ids), mine)
    found = list(connection.execute(gone.values(**_cancelled(reason, now)).returning(_N.id)).scalars()) if ids else []
    withdraw_cancelled(connection, environment, found, now)
    return Cancelled(found, messages=_recall(connection, environment, found, reason))


def _locked(connection: sa.Connection, environment: str, mine: sa.ColumnElement[bool]) -> list[str]:
    """Those of whom something holds, in the order in which everybody locks.

    Locked first and asked again: what somebody else was about to say of them, a window that closes above all, is seen
    only by a statement that begins after that.
    """
    query = sa.select(_N.id).where(_N.environment == environment, mine).order_by(_N.id).with_for_update()
    return list(connection.execute(query).scalars())


def _cancelled(reason: str, now: datetime) -> Row:
    status = NotificationStatus.CANCELLED
    return {"status": status, "reason": reason, "finished_at": now, "claim": None, "lease_until": None, "wake_at": None}


def _recall(connection: sa.Connection, environment: str, ids: Sequence[str], reason: str) -> int:
    """Messages nobody has tried to send yet go no further; those with a provider are not recalled.

    Returns how many of them waited, in nobody's hands. Locked first: whoever begins a call holds the message while it
    writes the attempt, which is looked for after that.
    """
    mine = sa.and_(messages.c.environment == environment, among(messages.c.notification, ids))
    waits = messages.c.status.in_([MessageStatus.QUEUED, MessageStatus.HELD])
    untried = sa.and_(mine, waits, messages.c.attempts == 0)
    found = sa.select(messages.c.id, messages.c.claim).where(untried).order_by(messages.c.id).with_for_update()
    locked = connection.execute(found).all()
    called = sa.exists().where(attempts.c.environment == environment, attempts.c.message == messages.c.id)
    mine = sa.and_(messages.c.environment == environment, among(messages.c.id, [row.id for row in locked]))
    gone = messages.update().where(mine, sa.not_(called))
    connection.execute(gone.values(status=MessageStatus.CANCELLED, reason=reason, claim=None))
    return sum(row.claim is None for row in locked)


def candidates(connection: sa.Connection, environment: str, workflow: str, keys: Sequence[str]) -> list[Any]:
    """What of a workflow is unfinished under one of `keys`, or has messages left: rows of id, cancel_key, event."""
    query = sa.select(_N.id, _N.cancel_key, _N.event).where(
        _N.environment == environment,
        _N.workflow == workflow,
        among(_N.cancel_key, set(keys)),
        _N.status.in_(LIVE),
        _CANCELLABLE,
        _N.cancel_reason.is_(None),
    )
    return [*connection.execute(query), *recalls.of_ended(connection, environment, workflow, keys)]


def by_event(connection: sa.Connection, environment: str, reasons: dict[str, str], now: datetime) -> None:
    """Cancel these notifications, each for its reason.

    One that has not come to its first wait is only marked: it was due before the cancelling event, so it runs up to
    that wait as it would have run live, and ends there.
    """
    _locked(connection, environment, among(_N.id, list(reasons)))
    for reason in sorted(set(reasons.values())):
        ids = [id_ for id_, why in reasons.items() if why == reason]
        mine = sa.and_(_N.environment == environment, among(_N.id, ids), _N.status.in_(LIVE), _CANCELLABLE)
        begun = sa.or_(_N.status == NotificationStatus.WAITING, _N.waited_at.is_not(None))
        connection.execute(
            notifications.update().where(mine, begun).values(**_cancelled(reason, now), cancel_reason=reason)
        )
        connection.execute(notifications.update().where(mine, sa.not_(begun)).values(cancel_reason=reason))
        ended = sa.select(_N.id).where(_N.environment == environment, among(_N.id, ids), _CANCELLABLE)
        over = connection.execute(ended.where(_N.status.not_in(LIVE))).scalars()
        recalls.recall(connection, environment, list(over), reason, now)
    withdraw_cancelled(connection, environment, list(reasons), now)
