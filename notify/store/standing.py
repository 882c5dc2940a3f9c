"""Where people wait, counted for whoever is about to change what they wait in. A few statements however many wait."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from notify.model import NotificationStatus
from notify.store.tables import notifications, steps, versions, windows
from notify.store.types import among
from notify.store.windows import OPEN

_N, _S, _V, _W = notifications.c, steps.c, versions.c, windows.c


def _waiting(environment: str) -> sa.ColumnElement[bool]:
    return sa.and_(_N.environment == environment, _N.status == NotificationStatus.WAITING)


def people(connection: sa.Connection, environment: str) -> list[Any]:
    """How many wait in each workflow: rows of `workflow`, `version`, `people`."""
    query = (
        sa.select(_N.workflow, _N.version, sa.func.count().label("people"))
        .where(_waiting(environment))
        .group_by(_N.workflow, _N.version)
        .order_by(_N.workflow, _N.version)
    )
    return list(connection.execute(query))


def remembered(connection: sa.Connection, environment: str) -> list[Any]:
    """What those who wait remember: rows of `workflow`, `version`, `key`, `kind`, `state`, `people`."""
    columns = (_N.workflow, _N.version, _S.key, _S.kind, _S.state)
    query = (
        sa.select(*columns, sa.func.count().label("people"))
        .join(steps, sa.and_(_S.environment == _N.environment, _S.notification == _N.id))
        .where(_waiting(environment))
        .group_by(*columns)
        .order_by(*columns)
    )
    return list(connection.execute(query))


def collecting(connection: sa.Connection, environment: str) -> list[Any]:
    """The windows that are open: rows of `workflow`, `step`, `mode`, `rule`, `windows`."""
    columns = (_W.workflow, _W.step, _W.mode, _W.rule)
    query = (
        sa.select(*columns, sa.func.count().label("windows"))
        .where(_W.environment == environment, _W.state == OPEN)
        .group_by(*columns)
        .order_by(_W.workflow, _W.step, _W.mode)
    )
    return list(connection.execute(query))


def begun(connection: sa.Connection, environment: str, ids: Collection[str]) -> list[Any]:
    """What workflows were in these versions: rows of `workflow`, `version`, `named`, `steps`, `templates`."""
    query = sa.select(_V.workflow, _V.version, _V.named, _V.steps, _V.templates).where(
        _V.environment == environment, among(_V.version, sorted(ids))
    )
    return list(connection.execute(query))
