"""Broadcasts at work: the next page of a stretch becomes notifications that their creator already holds."""

from __future__ import annotations

import sqlalchemy as sa

from notify import clock, matching
from notify.engine.context import Engine
from notify.matching import Match
from notify.model import Claimed
from notify.store import events, fanouts, notifications
from notify.workflow import Workflow


def reach(
    connection: sa.Connection, environment: str, engine: Engine, workflow: Workflow, token: str, limit: int
) -> list[Claimed]:
    """Create and claim notifications for the next people of a broadcast; [] when there is none, or others are at it.

    Of a workflow of which only so many may run at once, those are claimed that may; the others stay ready.
    """
    now = clock.now()
    stretch, ids = fanouts.page(connection, environment, workflow.id, limit, now)
    if not ids:
        return []
    event = events.load(connection, environment, [stretch.event])[stretch.event]
    rows = matching.notification_rows(
        environment,
        Match(event, workflow.id, [{"id": id_} for id_ in ids]),
        priority=stretch.priority,
        version=stretch.version,
        cancel_key=workflow.cancel_key(event),
        run_key=workflow.run_key(matching.payload_of(event)),
        now=now,
    )
    lease, concurrency = engine.lease, workflow.concurrency
    if concurrency is None:
        return notifications.create_claimed(connection, environment, rows, event, token=token, lease=lease, now=now)
    notifications.create(connection, environment, rows)
    return notifications.claim(
        connection, environment, workflow.id, token=token, lease=lease, now=now, limit=limit, concurrency=concurrency
    )
