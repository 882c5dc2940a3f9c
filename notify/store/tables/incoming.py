"""What came in: events, their verdicts, and why some led to nobody."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from notify.store.tables.base import environment, key, metadata, partial_index
from notify.store.types import Id, Instant, Json


def _told() -> list[sa.Column[Any]]:
    """What an application tells, in the order of the columns."""
    return [
        sa.Column("environment", sa.String(50), nullable=False),
        sa.Column("uid", Id, nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("id", sa.Text),
        sa.Column("ts", Instant, nullable=False),
        sa.Column("received_at", Instant, nullable=False),
        sa.Column("data", Json, nullable=False),
        sa.Column("v", sa.Text),
        sa.Column("user", Json),
        sa.Column("subject", sa.Text),
    ]


#: What an application writes in its own transaction. No unique key, no foreign key, no trigger: an INSERT that cannot
#: fail for a reason of ours. Intake moves its rows to `events`, where they get their verdict.
outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    *_told(),
    sqlite_autoincrement=True,
)

#: The same in an application's own database, which knows no other table of ours: a worker copies its rows to `events`.
#: An identity, because whoever may insert then needs no right to a sequence.
notify_outbox = sa.Table(
    "notify_outbox",
    sa.MetaData(),
    sa.Column(
        "seq",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        sa.Identity(),
        primary_key=True,
    ),
    *_told(),
    sqlite_autoincrement=True,
)

#: Every event and trigger that was taken in, for good. `matched_at` is null until it became notifications.
events = sa.Table(
    "events",
    metadata,
    environment(),
    key("uid", Id),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("id", sa.Text),
    sa.Column("ts", Instant, nullable=False),
    sa.Column("received_at", Instant, nullable=False),
    sa.Column("data", Json, nullable=False),
    sa.Column("v", sa.Text),
    sa.Column("user", Json),
    sa.Column("subject", sa.Text),
    sa.Column("verdict", sa.String(10), nullable=False),
    sa.Column("matched_at", Instant),
    sa.Index("ix_events_name_ts", "environment", "name", "ts"),
    partial_index("ix_events_subject", "environment", "subject", "ts", where="subject IS NOT NULL"),
    partial_index("ix_events_unmatched", "environment", "ts", where="matched_at IS NULL"),
)

#: One row a (name, id): the first reception decides for 24 hours, later ones do not renew it.
dedupe = sa.Table(
    "dedupe",
    metadata,
    environment(),
    key("name"),
    key("id"),
    sa.Column("first_seen", Instant, nullable=False),
    sa.Column("uid", Id, nullable=False),
)

#: Why an event led to nobody, a row a workflow ('' when no workflow listens to its name).
omissions = sa.Table(
    "omissions",
    metadata,
    environment(),
    key("event", Id),
    key("workflow"),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("detail", sa.Text),
    sa.Column("created_at", Instant, nullable=False),
    sa.Index(None, "environment", "workflow", "reason"),
)
