"""What stands for Prefect's side, and who may do what only one may do at a time."""

from __future__ import annotations

import sqlalchemy as sa

from notify.store.tables.base import environment, key, metadata
from notify.store.types import Id, Instant

#: An instant at which somebody of a workflow wants to wake, and the scheduled flow run that stands for it.
alarms = sa.Table(
    "alarms",
    metadata,
    environment(),
    key("id", Id),
    sa.Column("workflow", sa.Text, nullable=False),
    sa.Column("bucket", Instant, nullable=False),
    sa.Column("flow_run", Id),
    sa.Column("armed_at", Instant),
    sa.Index("uq_alarms_bucket", "environment", "workflow", "bucket", unique=True),
)

#: Which worker works on which flow run: Prefect leaves runs of a killed worker Running for ever.
flow_runs = sa.Table(
    "flow_runs",
    metadata,
    environment(),
    key("id", Id),
    sa.Column("workflow", sa.Text, nullable=False),
    sa.Column("worker", Id, nullable=False),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("heartbeat_at", Instant, nullable=False),
)

#: What a worker did without Prefect, until a flow run says it: how that run is to be called and to end.
unreported = sa.Table(
    "unreported",
    metadata,
    environment(),
    key("id", Id),
    sa.Column("workflow", sa.Text, nullable=False),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("finished_at", Instant, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("taken_at", Instant),
)

#: Who may do a thing that only one may do at a time.
leases = sa.Table(
    "leases",
    metadata,
    environment(),
    key("name"),
    sa.Column("holder", Id, nullable=False),
    sa.Column("until", Instant, nullable=False),
    sa.Column("rank", sa.BigInteger, nullable=False),
)

#: Facts about this installation: its id, its schema's release.
installation = sa.Table(
    "installation",
    metadata,
    key("name"),
    sa.Column("value", sa.Text, nullable=False),
)
