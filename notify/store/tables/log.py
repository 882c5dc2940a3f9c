"""The notification log: messages and the calls to providers."""

from __future__ import annotations

import sqlalchemy as sa

from notify.store.tables.base import environment, key, metadata, partial_index
from notify.store.types import Id, Instant, Json

#: What one channel step decided for one person: the notification log, and for in-app the inbox itself.
#: `released_at` is when a held message was let go.
messages = sa.Table(
    "messages",
    metadata,
    environment(),
    key("id", Id),
    sa.Column("notification", Id, nullable=False),
    sa.Column("workflow", sa.Text, nullable=False),
    sa.Column("subscriber", sa.Text, nullable=False),
    sa.Column("transaction_id", sa.Text, nullable=False),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("channel", sa.String(10), nullable=False),
    sa.Column("priority", sa.SmallInteger, nullable=False),
    sa.Column("status", sa.String(12), nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("content", Json),
    sa.Column("address", sa.Text),
    sa.Column("delivery", sa.String(15), nullable=False),
    sa.Column("provider", sa.Text),
    sa.Column("provider_message_id", sa.Text),
    sa.Column("error", sa.Text),
    sa.Column("window", Id),
    sa.Column("claim", Id),
    sa.Column("lease_until", Instant),
    sa.Column("next_attempt_at", Instant),
    sa.Column("attempts", sa.SmallInteger, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("released_at", Instant),
    sa.Column("sent_at", Instant),
    sa.Column("delivered_at", Instant),
    sa.Column("seen_at", Instant),
    sa.Column("read_at", Instant),
    sa.Index("ix_messages_created", "environment", "created_at"),
    sa.Index("ix_messages_subscriber", "environment", "subscriber", "channel", "created_at"),
    sa.Index("ix_messages_notification", "environment", "notification"),
    partial_index("ix_messages_held", "environment", "next_attempt_at", where="status = 'held'"),
    partial_index("ix_messages_released", "environment", "subscriber", "released_at", where="released_at IS NOT NULL"),
    partial_index("ix_messages_queued", "environment", "next_attempt_at", where="status = 'queued'"),
)

#: One call to a provider, written before the call; `outcome` is null while nobody knows yet.
attempts = sa.Table(
    "attempts",
    metadata,
    environment(),
    key("message", Id),
    key("number", sa.SmallInteger),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("finished_at", Instant),
    sa.Column("outcome", sa.String(10)),
    sa.Column("provider_message_id", sa.Text),
    sa.Column("detail", sa.Text),
)
