"""What was worked on without Prefect and has no flow run yet: one row a worker, a workflow and a stretch of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from notify.store.tables import unreported
from notify.store.types import among

_U = unreported.c


def begin(connection: sa.Connection, environment: str, row: Mapping[str, Any]) -> None:
    """Write a new row; it stays open until somebody takes it to report it."""
    connection.execute(unreported.insert().values(environment=environment, **row))


def extend(connection: sa.Connection, environment: str, row: Mapping[str, Any]) -> bool:
    """Let the row of this id say more; False when it is taken or reported already, and what it says stays."""
    mine = sa.and_(_U.environment == environment, _U.id == row["id"], _U.taken_at.is_(None))
    extended = unreported.update().where(mine).values(**row).returning(_U.id)
    return connection.execute(extended).scalar() is not None


def take(
    connection: sa.Connection, environment: str, workflows: Sequence[str], begun: datetime, now: datetime, limit: int
) -> list[Any]:
    """The oldest rows of these workflows that began by `begun`: from now on they say no more.

    A row stays until `reported`: whoever takes it and is killed leaves it to the next one.
    """
    known = sa.and_(_U.environment == environment, among(_U.workflow, list(workflows)))
    ripe = sa.or_(_U.taken_at.is_not(None), _U.started_at <= begun)
    oldest = sa.select(_U.id).where(known, ripe).order_by(_U.started_at, _U.id).limit(limit)
    ids = list(connection.execute(oldest.with_for_update()).scalars())
    mine = sa.and_(_U.environment == environment, among(_U.id, ids))
    connection.execute(unreported.update().where(mine, _U.taken_at.is_(None)).values(taken_at=now))
    return list(connection.execute(sa.select(unreported).where(mine).order_by(_U.started_at, _U.id)))


def reported(connection: sa.Connection, environment: str, id_: str) -> None:
    """A flow run says it now."""
    connection.execute(unreported.delete().where(_U.environment == environment, _U.id == id_))
