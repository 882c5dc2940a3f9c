"""What there is to do and what waits: probes of indexes, however many rows there are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from notify.model import LIVE, NotificationStatus
from notify.store import fanouts, windows
from notify.store.tables import alarms, notifications

READY, RUNNING, WAITING = LIVE
_N = notifications.c


@dataclass(frozen=True, slots=True)
class Work:
    """Whether a workflow has somebody to claim now, and whether somebody's wait or window is over."""

    ready: bool
    due: bool


def of_workflow(connection: sa.Connection, environment: str, workflow: str, now: datetime) -> Work:
    """What there is to do of one workflow, in one statement."""
    ready = [if_ready(environment, workflow), fanouts.with_broadcasts(environment)]
    alarm = sa.select(alarms.c.workflow).where(alarms.c.environment == environment, alarms.c.bucket <= now)
    due = [with_due(environment, now), windows.with_due(environment, now), alarm]
    asked = [sa.or_(*(_names(some, workflow) for some in kind)) for kind in (ready, due)]
    return Work(*connection.execute(sa.select(*asked)).one())


def _names(workflows: sa.Select[Any], workflow: str) -> sa.ColumnElement[bool]:
    column = workflows.selected_columns[0]
    return workflows.where(column == workflow).exists()


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
