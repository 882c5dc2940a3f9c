"""The schema, one for SQLite and PostgreSQL. `environment` leads every key: an environment is an isolated world."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from notify.store.types import Id, Instant, Json

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _environment() -> sa.Column[str]:
    return sa.Column("environment", sa.String(50), nullable=False, primary_key=True)


def _key(name: str, type_: Any = sa.Text) -> sa.Column[Any]:
    return sa.Column(name, type_, nullable=False, primary_key=True)


def _partial(name: str, *columns: sa.ColumnElement[Any] | str, where: str, unique: bool = False) -> sa.Index:
    condition = sa.text(where)
    return sa.Index(name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


#: What an application writes in its own transaction. No unique key, no foreign key, no trigger: an INSERT that cannot
#: fail for a reason of ours. Intake moves its rows to `events`, where they get their verdict.
outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
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
    sqlite_autoincrement=True,
)

#: Every event and trigger that was taken in, for good. `matched_at` is null until it became notifications.
events = sa.Table(
    "events",
    metadata,
    _environment(),
    _key("uid", Id),
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
    _partial("ix_events_subject", "environment", "subject", "ts", where="subject IS NOT NULL"),
    _partial("ix_events_unmatched", "environment", "ts", where="matched_at IS NULL"),
)

#: One row a (name, id): the first reception decides for 24 hours, later ones do not renew it.
dedupe = sa.Table(
    "dedupe",
    metadata,
    _environment(),
    _key("name"),
    _key("id"),
    sa.Column("first_seen", Instant, nullable=False),
    sa.Column("uid", Id, nullable=False),
)

#: Why an event led to nobody, a row a workflow ('' when no workflow listens to its name).
omissions = sa.Table(
    "omissions",
    metadata,
    _environment(),
    _key("event", Id),
    _key("workflow"),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("detail", sa.Text),
    sa.Column("created_at", Instant, nullable=False),
    sa.Index(None, "environment", "workflow", "reason"),
)

subscribers = sa.Table(
    "subscribers",
    metadata,
    _environment(),
    _key("id"),
    sa.Column("email", sa.Text),
    sa.Column("phone", sa.Text),
    sa.Column("first_name", sa.Text),
    sa.Column("last_name", sa.Text),
    sa.Column("avatar", sa.Text),
    sa.Column("locale", sa.Text),
    sa.Column("timezone", sa.Text),
    sa.Column("data", Json, nullable=False),
    sa.Column("channels", Json, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("updated_at", Instant, nullable=False),
)

#: `workflow` '' is the person's choice for every workflow.
preferences = sa.Table(
    "preferences",
    metadata,
    _environment(),
    _key("subscriber"),
    _key("workflow"),
    _key("channel", sa.String(10)),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("updated_at", Instant, nullable=False),
)

#: The text of the templates a workflow had at some time: a waiting notification keeps what it started with.
versions = sa.Table(
    "versions",
    metadata,
    _environment(),
    _key("workflow"),
    _key("version", sa.String(64)),
    sa.Column("templates", Json, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
)

#: One workflow for one subscriber for one trigger. `claim` is the fence: whoever does not hold it writes nothing.
notifications = sa.Table(
    "notifications",
    metadata,
    _environment(),
    _key("id", Id),
    sa.Column("workflow", sa.Text, nullable=False),
    sa.Column("subscriber", sa.Text, nullable=False),
    sa.Column("event", Id, nullable=False),
    sa.Column("transaction_id", sa.Text, nullable=False),
    sa.Column("ts", Instant, nullable=False),
    sa.Column("priority", sa.SmallInteger, nullable=False),
    sa.Column("status", sa.String(10), nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("version", sa.String(64)),
    sa.Column("cancel_key", sa.Text),
    sa.Column("cancel_reason", sa.Text),
    sa.Column("claim", Id),
    sa.Column("lease_until", Instant),
    sa.Column("wake_at", Instant),
    sa.Column("waited_at", Instant),
    sa.Column("window", Id),
    sa.Column("tries", sa.SmallInteger, nullable=False),
    sa.Column("error", Json),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("started_at", Instant),
    sa.Column("finished_at", Instant),
    sa.Index("ix_notifications_event", "environment", "event"),
    sa.Index("ix_notifications_transaction", "environment", "transaction_id"),
    sa.Index("ix_notifications_subscriber", "environment", "subscriber", "created_at"),
    _partial(
        "ix_notifications_ready",
        "environment",
        "workflow",
        sa.desc("priority"),
        "ts",
        where="status = 'ready'",
    ),
    _partial("ix_notifications_running", "environment", "lease_until", where="status = 'running'"),
    _partial("ix_notifications_waiting", "environment", "workflow", "wake_at", where="status = 'waiting'"),
    _partial(
        "ix_notifications_cancel_key",
        "environment",
        "workflow",
        "cancel_key",
        where="cancel_key IS NOT NULL AND status IN ('ready', 'running', 'waiting')",
    ),
)

#: A remembered step: its result or its error, for good. The rows of one notification are its memo.
steps = sa.Table(
    "steps",
    metadata,
    _environment(),
    _key("notification", Id),
    _key("key"),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("value", Json),
    sa.Column("error", Json),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("finished_at", Instant),
)

#: What one channel step decided for one person: the notification log, and for in-app the inbox itself.
messages = sa.Table(
    "messages",
    metadata,
    _environment(),
    _key("id", Id),
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
    sa.Column("sent_at", Instant),
    sa.Column("delivered_at", Instant),
    sa.Column("seen_at", Instant),
    sa.Column("read_at", Instant),
    sa.Index("ix_messages_created", "environment", "created_at"),
    sa.Index("ix_messages_subscriber", "environment", "subscriber", "channel", "created_at"),
    sa.Index("ix_messages_notification", "environment", "notification"),
    _partial("ix_messages_queued", "environment", "next_attempt_at", where="status = 'queued'"),
)

#: One call to a provider, written before the call; `outcome` is null while nobody knows yet.
attempts = sa.Table(
    "attempts",
    metadata,
    _environment(),
    _key("message", Id),
    _key("number", sa.SmallInteger),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("finished_at", Instant),
    sa.Column("outcome", sa.String(10)),
    sa.Column("provider_message_id", sa.Text),
    sa.Column("detail", sa.Text),
)

#: A digest that collects. One is open for a (workflow, subscriber, key); it belongs to no notification.
windows = sa.Table(
    "windows",
    metadata,
    _environment(),
    _key("id", Id),
    sa.Column("workflow", sa.Text, nullable=False),
    sa.Column("subscriber", sa.Text, nullable=False),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("mode", sa.String(10), nullable=False),
    sa.Column("seconds", sa.Float),
    sa.Column("opened_at", Instant, nullable=False),
    sa.Column("closes_at", Instant, nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("closed_at", Instant),
    sa.Column("carrier", Id),
    sa.Column("items", sa.Integer),
    _partial(
        "uq_windows_open",
        "environment",
        "workflow",
        "subscriber",
        "step",
        "key",
        where="state = 'open'",
        unique=True,
    ),
    _partial("ix_windows_due", "environment", "workflow", "closes_at", where="state = 'open'"),
)

#: What a window collected. An item is an event of one notification; `withdrawn_at` when that one was cancelled.
window_items = sa.Table(
    "window_items",
    metadata,
    _environment(),
    _key("notification", Id),
    _key("step"),
    sa.Column("window", Id, nullable=False),
    sa.Column("event", Id, nullable=False),
    sa.Column("ts", Instant, nullable=False),
    sa.Column("withdrawn_at", Instant),
    sa.Index(None, "environment", "window", "ts"),
)

#: An instant at which somebody of a workflow wants to wake, and the scheduled flow run that stands for it.
alarms = sa.Table(
    "alarms",
    metadata,
    _environment(),
    _key("id", Id),
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
    _environment(),
    _key("id", Id),
    sa.Column("workflow", sa.Text, nullable=False),
    sa.Column("worker", Id, nullable=False),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("heartbeat_at", Instant, nullable=False),
)

#: Who may do a thing that only one may do at a time.
leases = sa.Table(
    "leases",
    metadata,
    _environment(),
    _key("name"),
    sa.Column("holder", Id, nullable=False),
    sa.Column("until", Instant, nullable=False),
)

#: Facts about this installation: its id, its schema's release.
installation = sa.Table(
    "installation",
    metadata,
    _key("name"),
    sa.Column("value", sa.Text, nullable=False),
)
