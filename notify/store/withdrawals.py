"""What a cancelled notification takes along: its item of a digest, its waits, and the answer somebody waits for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from notify.model import NotificationStatus, StepState
from notify.store import awaiting
from notify.store.bulk import given
from notify.store.tables import notifications, steps, window_items
from notify.store.types import among

_N, _I, _S = notifications.c, window_items.c, steps.c
_WHY = sa.select(_N.reason).where(_N.environment == _I.environment, _N.id == _I.notification).scalar_subquery()


def withdraw_cancelled(connection: sa.Connection, environment: str, ids: Sequence[str], now: datetime) -> None:
    """Those of `ids` that were cancelled leave their windows; their waiting steps are cancelled, their callers told."""
    gone = [row.id for row in cancelled(connection, environment, ids)]
    if not gone:
        return
    awaiting.forget(connection, environment, gone)
    mine = sa.and_(_I.environment == environment, among(_I.notification, gone), _I.withdrawn_at.is_(None))
    connection.execute(window_items.update().where(mine).values(withdrawn_at=now, reason=_WHY))
    waiting = sa.and_(_S.environment == environment, among(_S.notification, gone), _S.state == StepState.DELAYED)
    connection.execute(steps.update().where(waiting).values(state=StepState.CANCELLED, finished_at=now))
    error = {"message": "what it called was cancelled", "name": "Cancelled"}
    awaiting.answer_callers(connection, environment, gone, {"state": StepState.FAILED, "error": error}, now)


def never_waited(connection: sa.Connection, environment: str, ids: Sequence[str], now: datetime) -> None:
    """What locked notifications began to wait for does not stand: tried again, they ask for it anew."""
    if not ids:
        return
    awaiting.forget(connection, environment, ids)
    waiting = sa.and_(_S.environment == environment, among(_S.notification, ids), _S.state == StepState.DELAYED)
    kept = steps.update().where(waiting).values(state=StepState.FAILED, finished_at=now)
    _leave_windows(connection, environment, ids)
    connection.execute(kept)


def _leave_windows(connection: sa.Connection, environment: str, ids: Sequence[str]) -> None:
    """They are again in the window they carried last, if any."""
    left = window_items.delete().where(_I.environment == environment, _begun(ids))
    columns = (_I.notification.label("id"), _I.brought.label("window"))
    before = [dict(row) for row in connection.execute(left.returning(*columns)).mappings()]
    if before:
        new = given(connection, notifications, before, "id", "window").c
        mine = sa.and_(_N.environment == environment, _N.id == new.id)
        connection.execute(notifications.update().where(mine).values(window=new.window))


def _begun(ids: Sequence[str]) -> sa.ColumnElement[bool]:
    waiting = sa.exists().where(
        _S.environment == _I.environment,
        _S.notification == _I.notification,
        _S.key == _I.step,
        _S.state == StepState.DELAYED,
    )
    return sa.and_(among(_I.notification, ids), waiting)


def cancelled(connection: sa.Connection, environment: str, ids: Sequence[str]) -> list[Any]:
    """Of `ids`, those that were cancelled: rows of id, workflow, subscriber, event."""
    query = sa.select(_N.id, _N.workflow, _N.subscriber, _N.event).where(
        _N.environment == environment, among(_N.id, ids), _N.status == NotificationStatus.CANCELLED
    )
    return list(connection.execute(query))
