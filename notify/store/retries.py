"""Taking up again what failed: when a flow run is retried, it finishes what it, or its own trigger, left undone."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from notify.model import NotificationStatus, StepState
from notify.store import decisions, memos
from notify.store.tables import messages, notifications, steps
from notify.store.types import among

_N, _S, _M = notifications.c, steps.c, messages.c


def take_up(connection: sa.Connection, environment: str, flow_run: str) -> list[str]:
    """Make what failed in this flow run, or of its trigger, ready again; returns the ids.

    The memo is kept: what was done is done. Only steps that failed forget it and are tried anew.
    """
    failed = sa.and_(_N.environment == environment, _N.status == NotificationStatus.FAILED)
    ours = sa.or_(_N.failed_in == flow_run, _N.transaction_id == flow_run)
    again = {"status": NotificationStatus.READY, "tries": 0}
    # Without a version it is made from the templates as they are now: what was wrong may have been in them.
    blank = dict.fromkeys(("reason", "error", "failed_in", "finished_at", "version"))
    taken = notifications.update().where(failed, ours).values(**again, **blank).returning(_N.id)
    ids = list(connection.execute(taken).scalars())
    if ids:
        _forget(connection, environment, ids)
    return ids


def _forget(connection: sa.Connection, environment: str, ids: Sequence[str]) -> None:
    """A failed step stays in its place as one not done; a message that could not be made makes room for one that is."""
    of_theirs = sa.and_(_S.environment == environment, among(_S.notification, ids), _S.state == StepState.FAILED)
    pending = {"state": StepState.PENDING, "value": {"tries": 0}, "error": None, "finished_at": None}
    connection.execute(steps.update().where(of_theirs).values(**pending))
    unmade = sa.and_(_M.environment == environment, among(_M.notification, ids), decisions.UNMADE)
    gone = messages.delete().where(unmade).returning(_M.notification, _M.step, _M.channel, _M.created_at)
    places = [
        {
            "notification": row.notification,
            "key": row.step,
            "kind": row.channel,
            "started_at": row.created_at,
            **pending,
        }
        for row in connection.execute(gone)
    ]
    memos.remember(connection, environment, places)
