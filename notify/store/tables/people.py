"""Who is told, and what they chose."""

from __future__ import annotations

import sqlalchemy as sa

from notify.store.tables.base import environment, key, metadata
from notify.store.types import Instant, Json

subscribers = sa.Table(
    "subscribers",
    metadata,
    environment(),
    key("id"),
    sa.Column("email", sa.Text),
    sa.Column("phone", sa.Text),
    sa.Column("first_name", sa.Text),
    sa.Column("last_name", sa.Text),
    sa.Column("avatar", sa.Text),
    sa.Column("locale", sa.Text),
    sa.Column("timezone", sa.Text),
    sa.Column("data", Json, nullable=False),
    sa.Column("channels", Json, nullable=False),
    sa.Column("schedule", Json),
    sa.Column("online", sa.Boolean),
    sa.Column("online_at", Instant),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("updated_at", Instant, nullable=False),
)

#: `workflow` '' is the person's choice for every workflow.
preferences = sa.Table(
    "preferences",
    metadata,
    environment(),
    key("subscriber"),
    key("workflow"),
    key("channel", sa.String(10)),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("updated_at", Instant, nullable=False),
)
