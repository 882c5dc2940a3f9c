"""What there is to do and what waits: probes of indexes, however many rows there are."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from notify.model import LIVE, NotificationStatus
from notify.store import fanouts
from notify.store.tables import notifications

READY, RUNNING, WAITING = LIVE
_N = notifications.c


def undecided_before(connection: sa.Connection, environment: str, workflow: str) -> datetime | None:
    """The `ts` of the oldest notification that may still join a window of this workflow; broadcasts create some."""
    query = sa.select(sa.func.min(_N.ts)).where(
        _N.environment == environment,
        _N.workflow == workflow,
        _N.status.in_([READY, RUNNING]),
        _N.window.is_(None),
    )
    found = [connection.execute(query).scalar(), fanouts.oldest(connection, environment, workflow)]
    return min((ts for ts in found if ts is not None), default=None)


def workflows_with(connection: sa.Connection, environment: str, *statuses: NotificationStatus) -> dict[str, int]:
    """How many notifications of each workflow are in one of `statuses`."""
    query = (
        sa.select(_N.workflow, sa.func.count())
        .where(_N.environment == environment, _N.status.in_(statuses))
        .group_by(_N.workflow)
    )
    return {workflow: count for workflow, count in connection.execute(query)}


def if_ready(environment: Any, workflow: str) -> sa.Select[Any]:
    """The workflow, if one of its notifications is ready: one probe of the index, however many are."""
    ready = sa.exists().where(_N.environment == environment, _N.workflow == workflow, _N.status == READY)
    return sa.select(sa.literal(workflow).label("workflow")).where(ready)


def with_due(environment: Any, now: Any) -> sa.Select[Any]:
    """The workflows with a sleeper that is due."""
    query = sa.select(_N.workflow).where(_N.environment == environment, _N.status == WAITING, _N.wake_at <= now)
    return query.distinct()


def sleeping(connection: sa.Connection, environment: str) -> list[Any]:
    """How many of each workflow sleep, and when the first wakes: rows of workflow, count, until."""
    query = (
        sa.select(_N.workflow, sa.func.count().label("count"), sa.func.min(_N.wake_at).label("until"))
        .where(_N.environment == environment, _N.status == WAITING, _N.wake_at.is_not(None))
        .group_by(_N.workflow)
        .order_by(_N.workflow)
    )
    return list(connection.execute(query))
