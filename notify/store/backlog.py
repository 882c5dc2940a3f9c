"""What there is to do and what waits: probes of indexes, however many rows there are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from notify.model import LIVE, NotificationStatus, Priority
from notify.store import fanouts, windows
from notify.store.tables import alarms, notifications
from notify.store.types import Instant

READY, RUNNING, WAITING = LIVE
_N = notifications.c


@dataclass(frozen=True, slots=True)
class Work:
    """Whether a workflow has somebody to claim now, and whether somebody's wait or window is over."""

    ready: bool
    due: bool


def of_workflow(connection: sa.Connection, environment: str, workflow: str, now: datetime) -> Work:
    """What there is to do of one workflow, in one statement."""
    row = connection.execute(_of_workflow(), {"environment": environment, "workflow": workflow, "now": now}).one()
    return Work(*row)


@cache
def _of_workflow() -> sa.Select[Any]:
    environment = sa.bindparam("environment", type_=sa.String)
    workflow: Any = sa.bindparam("workflow", type_=sa.Text)
    now = sa.bindparam("now", type_=Instant)
    broadcasts = fanouts.with_broadcasts(environment)
    alarm = sa.select(alarms.c.workflow).where(alarms.c.environment == environment, alarms.c.bucket <= now)
    due = [is_due(environment, workflow, now), windows.is_due(environment, workflow, now), _names(alarm, workflow)]
    ready = sa.or_(is_ready(environment, workflow), _names(broadcasts, workflow))
    return sa.select(ready, sa.or_(*due))


def _names(workflows: sa.Select[Any], workflow: Any) -> sa.ColumnElement[bool]:
    column = workflows.selected_columns[0]
    return workflows.where(column == workflow).exists()


def undecided_before(connection: sa.Connection, environment: str, workflow: str) -> datetime | None:
    """How far the one that may still join a window of this workflow, and is farthest behind, has come in its own time.

    Broadcasts create some, and whoever sleeps may be being woken by somebody else.
    """
    mine = sa.and_(_N.environment == environment, _N.workflow == workflow)
    # A probe of an index each: those who never waited by priority, those who did, and the few at work.
    fresh = sa.select(_N.ts).where(mine, _N.status == READY, _N.reached_at.is_(None)).order_by(_N.ts).limit(1)
    woken = sa.select(sa.func.min(_N.reached_at)).where(mine, _N.status == READY, _N.reached_at.is_not(None))
    # Without a lease there is none: said so that SQLite takes the index of the few, not that of everybody.
    running = sa.and_(_N.status == RUNNING, _N.lease_until.is_not(None))
    at_work = sa.select(sa.func.min(sa.func.coalesce(_N.reached_at, _N.ts))).where(mine, running)
    asleep = sa.select(sa.func.min(_N.wake_at)).where(mine, _N.status == WAITING)
    probes = [*(fresh.where(_N.priority == priority.value) for priority in Priority), woken, at_work, asleep]
    row = connection.execute(sa.select(*(probe.scalar_subquery() for probe in probes))).one()
    found = [*row, fanouts.oldest(connection, environment, workflow)]
    return min((ts for ts in found if ts is not None), default=None)


def workflows_with(connection: sa.Connection, environment: str, *statuses: NotificationStatus) -> dict[str, int]:
    """How many notifications of each workflow are in one of `statuses`."""
    query = (
        sa.select(_N.workflow, sa.func.count())
        .where(_N.environment == environment, _N.status.in_(statuses))
        .group_by(_N.workflow)
    )
    return {workflow: count for workflow, count in connection.execute(query)}


def is_ready(environment: Any, workflow: Any) -> sa.ColumnElement[bool]:
    """Whether a notification of this workflow is ready: one probe of the index, however many are."""
    ready = sa.select(_N.ts).where(_N.environment == environment, _N.workflow == workflow, _N.status == READY)
    # In the order of the index: asked whether there is one, PostgreSQL reads the table where it expects many.
    return ready.order_by(_N.priority.desc(), _N.ts).limit(1).scalar_subquery().is_not(None)


def is_due(environment: Any, workflow: Any, now: Any) -> sa.ColumnElement[bool]:
    """Whether a sleeper of this workflow is due: one probe of the index, however many sleep."""
    asleep = sa.select(_N.wake_at).where(_N.environment == environment, _N.workflow == workflow, _N.status == WAITING)
    return asleep.where(_N.wake_at <= now).order_by(_N.wake_at).limit(1).scalar_subquery().is_not(None)


def sleeping(connection: sa.Connection, environment: str) -> list[Any]:
    """How many of each workflow sleep, and when the first wakes: rows of workflow, count, until."""
    query = (
        sa.select(_N.workflow, sa.func.count().label("count"), sa.func.min(_N.wake_at).label("until"))
        .where(_N.environment == environment, _N.status == WAITING, _N.wake_at.is_not(None))
        .group_by(_N.workflow)
        .order_by(_N.workflow)
    )
    return list(connection.execute(query))
