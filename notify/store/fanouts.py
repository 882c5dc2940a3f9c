"""Broadcasts: everybody an environment knew at some instant, reached page by page from a stored cursor.

A page is one transaction of the notifications it creates and the cursor's advance: whoever goes on begins where the
last committed page ended, so nobody is left out and nobody is reached twice.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from notify.model import Event, derive
from notify.store.bulk import Row, insert_new
from notify.store.tables import fanouts, subscribers

_F, _S = fanouts.c, subscribers.c
OPEN, DONE, CANCELLED = "open", "done", "cancelled"
#: People of one stretch. Stretches are what workers share.
STRETCH = 10_000


def plan(
    connection: sa.Connection,
    environment: str,
    event: Event,
    workflow: str,
    *,
    priority: int,
    version: str | None,
) -> int:
    """Divide everybody known when the event was received into stretches; returns how many there are."""
    ends = _ends(connection, environment, event.received_at)
    rows: list[Row] = [
        {
            "environment": environment,
            "id": derive("fanout", environment, event.uid, workflow, str(place)),
            "event": event.uid,
            "workflow": workflow,
            "transaction_id": event.transaction_id,
            "ts": event.ts,
            "priority": priority,
            "version": version,
            "cursor": after,
            "until": until,
            "as_of": event.received_at,
            "state": OPEN,
            "people": 0,
        }
        for place, (after, until) in enumerate(zip(["", *ends], ends, strict=False))
    ]
    insert_new(connection, fanouts, rows)
    return len(rows)


def _ends(connection: sa.Connection, environment: str, as_of: datetime) -> list[str]:
    """The last id of each stretch."""
    place = sa.func.row_number().over(order_by=_S.id).label("place")
    everybody = (
        sa.select(_S.id, place).where(_S.environment == environment, _S.created_at <= as_of).subquery("everybody")
    )
    last = sa.select(sa.func.max(everybody.c.id)).scalar_subquery()
    cut = sa.or_(everybody.c.place % STRETCH == 0, everybody.c.id == last)
    return list(connection.execute(sa.select(everybody.c.id).where(cut).order_by(everybody.c.id)).scalars())


def page(
    connection: sa.Connection, environment: str, workflow: str, limit: int, now: datetime
) -> tuple[Any, list[str]]:
    """A stretch that nobody else holds now, and the next people of it; its cursor moves with this transaction.

    (None, []) when no stretch of the workflow is open, or others hold them all.
    """
    query = (
        sa.select(fanouts)
        .where(_F.environment == environment, _F.workflow == workflow, _F.state == OPEN)
        .order_by(_F.priority.desc(), _F.ts, _F.event, _F.cursor)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    stretch = connection.execute(query).one_or_none()
    if stretch is None:
        return None, []
    ids = _next(connection, environment, stretch, limit)
    done = len(ids) < limit or ids[-1] == stretch.until
    connection.execute(
        fanouts.update()
        .where(_F.environment == environment, _F.id == stretch.id)
        .values(
            cursor=ids[-1] if ids else stretch.cursor,
            people=_F.people + len(ids),
            state=DONE if done else OPEN,
            finished_at=now if done else None,
        )
    )
    return stretch, ids


def _next(connection: sa.Connection, environment: str, stretch: Any, limit: int) -> list[str]:
    query = (
        sa.select(_S.id)
        .where(_S.environment == environment, _S.id > stretch.cursor, _S.id <= stretch.until)
        .where(_S.created_at <= stretch.as_of)
        .order_by(_S.id)
        .limit(limit)
    )
    return list(connection.execute(query).scalars())


def cancel(connection: sa.Connection, environment: str, transaction_id: str, now: datetime) -> None:
    """Reach nobody else for this trigger."""
    connection.execute(
        fanouts.update()
        .where(_F.environment == environment, _F.transaction_id == transaction_id, _F.state == OPEN)
        .values(state=CANCELLED, finished_at=now)
    )


def with_broadcasts(environment: Any) -> sa.Select[Any]:
    """The workflows whose broadcasts have not reached everybody yet."""
    return sa.select(_F.workflow).where(_F.environment == environment, _F.state == OPEN).distinct()


def oldest(connection: sa.Connection, environment: str, workflow: str) -> datetime | None:
    """The `ts` of the oldest broadcast that still creates notifications of this workflow."""
    query = sa.select(sa.func.min(_F.ts)).where(
        _F.environment == environment, _F.workflow == workflow, _F.state == OPEN
    )
    return connection.execute(query).scalar()
