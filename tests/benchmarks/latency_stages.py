"""Where an event's time went: the instants its rows keep, from intake to the answer of the provider."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from statistics import median
from typing import Any

import sqlalchemy as sa

from notify.store.database import Database
from notify.store.tables import attempts, events, messages, notifications

#: What lies between two instants that follow each other.
STAGES = ("matched", "claimed by a flow run", "decided", "attempt written", "answered")


def medians(database: Database, workflow: str, since: datetime) -> str:
    """The median of each stage, of the e-mails of one workflow whose events came since then."""
    with database.read() as connection:
        rows = connection.execute(_query(workflow, since)).all()
    return _said(rows)


def _query(workflow: str, since: datetime) -> sa.Select[Any]:
    n, m, a, e = notifications.c, messages.c, attempts.c, events.c
    joined = notifications.join(events, e.uid == n.event)
    joined = joined.join(messages, sa.and_(m.notification == n.id, m.channel == "email"))
    joined = joined.join(attempts, a.message == m.id)
    instants = (e.received_at, n.created_at, n.started_at, m.created_at, a.started_at, a.finished_at)
    # Labels, for several of them have the same name.
    columns = [column.label(f"at_{place}") for place, column in enumerate(instants)]
    return sa.select(*columns).select_from(joined).where(n.workflow == workflow, e.received_at >= since)


def _said(rows: Sequence[Any]) -> str:
    parts: list[str] = []
    for place, stage in enumerate(STAGES):
        spans = [(row[place + 1] - row[place]).total_seconds() for row in rows if row[place + 1] and row[place]]
        if spans:
            parts.append(f"{stage} +{1000 * median(spans):,.0f} ms")
    return "medians of its stages: " + ", ".join(parts)
