"""What is worked on: notifications, their memo, their windows, and the texts they started with."""

from __future__ import annotations

import sqlalchemy as sa

from notify.store.tables.base import environment, key, metadata, partial_index
from notify.store.types import Id, Instant, Json

#: What a workflow was at some time: the version its author named, the steps its file shows, the text of its templates.
#: A waiting notification keeps the texts it started with.
versions = sa.Table(
    "versions",
    metadata,
    environment(),
    key("workflow"),
    key("version", sa.String(64)),
    sa.Column("templates", Json, nullable=False),
    sa.Column("named", sa.Text),
    sa.Column("steps", Json),
    sa.Column("created_at", Instant, nullable=False),
)

#: One workflow for one subscriber for one trigger. `claim` is the fence: whoever does not hold it writes nothing.
#: `failed_in` is the flow run in which it failed: when that is retried, it takes up what it failed. `reached_at` is how
#: far it has come in its own time: the end of its last wait; until it waited, its event's `ts` is. `run_key` is what
#: only so many may share that run at once.
notifications = sa.Table(
    "notifications",
    metadata,
    environment(),
    key("id", Id),
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
    sa.Column("reached_at", Instant),
    sa.Column("run_key", sa.Text),
    sa.Column("tries", sa.SmallInteger, nullable=False),
    sa.Column("error", Json),
    sa.Column("failed_in", Id),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("started_at", Instant),
    sa.Column("finished_at", Instant),
    sa.Index("ix_notifications_event", "environment", "event"),
    sa.Index("ix_notifications_transaction", "environment", "transaction_id"),
    sa.Index("ix_notifications_subscriber", "environment", "subscriber", "created_at"),
    partial_index(
        "ix_notifications_ready",
        "environment",
        "workflow",
        sa.desc("priority"),
        "ts",
        where="status = 'ready'",
    ),
    partial_index(
        "ix_notifications_reached",
        "environment",
        "workflow",
        "reached_at",
        where="status = 'ready' AND reached_at IS NOT NULL",
    ),
    partial_index("ix_notifications_running", "environment", "lease_until", where="status = 'running'"),
    partial_index("ix_notifications_waiting", "environment", "workflow", "wake_at", where="status = 'waiting'"),
    partial_index(
        "ix_notifications_run_key",
        "environment",
        "workflow",
        "run_key",
        where="run_key IS NOT NULL AND status = 'running'",
    ),
    partial_index("ix_notifications_failed_in", "environment", "failed_in", where="failed_in IS NOT NULL"),
    partial_index(
        "ix_notifications_cancel_key",
        "environment",
        "workflow",
        "cancel_key",
        where="cancel_key IS NOT NULL AND status IN ('ready', 'running', 'waiting')",
    ),
)

#: A remembered step: its result or its error, for good. With the messages, which channel steps are remembered by,
#: the rows of one notification are its memo.
steps = sa.Table(
    "steps",
    metadata,
    environment(),
    key("notification", Id),
    key("key"),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("value", Json),
    sa.Column("error", Json),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("finished_at", Instant),
)

#: A digest that collects. One is open for a (workflow, subscriber, key); it belongs to no notification. `rule` is how
#: long it collects, in force since it opened: a workflow that changes meanwhile changes the windows that open later.
windows = sa.Table(
    "windows",
    metadata,
    environment(),
    key("id", Id),
    sa.Column("workflow", sa.Text, nullable=False),
    sa.Column("subscriber", sa.Text, nullable=False),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("mode", sa.String(10), nullable=False),
    sa.Column("rule", Json),
    sa.Column("opened_at", Instant, nullable=False),
    sa.Column("closes_at", Instant, nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("closed_at", Instant),
    sa.Column("carrier", Id),
    sa.Column("items", sa.Integer),
    partial_index(
        "uq_windows_open",
        "environment",
        "workflow",
        "subscriber",
        "step",
        "key",
        where="state = 'open'",
        unique=True,
    ),
    partial_index(
        "ix_windows_lookback",
        "environment",
        "workflow",
        "subscriber",
        "step",
        "key",
        where="mode = 'lookback' AND state = 'closed'",
    ),
    partial_index(
        "ix_windows_told",
        "environment",
        "workflow",
        "subscriber",
        "step",
        "key",
        "closed_at",
        where="mode = 'calendar' AND state = 'closed'",
    ),
    partial_index(
        "ix_windows_due",
        "environment",
        "workflow",
        "closes_at",
        "step",
        where="state = 'open' AND mode <> 'calendar'",
    ),
    partial_index(
        "ix_windows_calendar",
        "environment",
        "workflow",
        "closes_at",
        where="state = 'open' AND mode = 'calendar'",
    ),
)

#: What a window collected. An item is an event of one notification; `withdrawn_at` when that one was cancelled.
#: `reason` is why it is told nobody: it was withdrawn, or no longer true when the digest was to be sent. `brought` is
#: the window the notification had carried last when it joined: all that one held comes along.
window_items = sa.Table(
    "window_items",
    metadata,
    environment(),
    key("notification", Id),
    key("step"),
    sa.Column("window", Id, nullable=False),
    sa.Column("event", Id, nullable=False),
    sa.Column("ts", Instant, nullable=False),
    sa.Column("brought", Id),
    sa.Column("withdrawn_at", Instant),
    sa.Column("reason", sa.Text),
    sa.Index(None, "environment", "window", "ts"),
)

#: What a notification waits for: an event of this name, later than `since` and before `until`, whose value is `key` and
#: of which `expression` holds. `reached_at` is how far it had come when it began to wait. Gone once it is met or given
#: up.
awaited = sa.Table(
    "awaited",
    metadata,
    environment(),
    key("notification", Id),
    key("step"),
    sa.Column("workflow", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("expression", sa.Text),
    sa.Column("since", Instant, nullable=False),
    sa.Column("until", Instant, nullable=False),
    sa.Column("reached_at", Instant, nullable=False),
    sa.Index(None, "environment", "name", "key"),
)

#: How many of one person's notifications passed a throttle since `started_at`; from `until` on it counts anew.
throttles = sa.Table(
    "throttles",
    metadata,
    environment(),
    key("workflow"),
    key("subscriber"),
    key("step"),
    key("key"),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("until", Instant, nullable=False),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Index(None, "environment", "until"),
)

#: A stretch of the subscribers that a broadcast still has to reach: those with ids in (`cursor`, `until`], where
#: `cursor` moves with each page. A broadcast has several, so that several workers take one each.
fanouts = sa.Table(
    "fanouts",
    metadata,
    environment(),
    key("id", Id),
    sa.Column("event", Id, nullable=False),
    sa.Column("workflow", sa.Text, nullable=False),
    sa.Column("transaction_id", sa.Text, nullable=False),
    sa.Column("ts", Instant, nullable=False),
    sa.Column("priority", sa.SmallInteger, nullable=False),
    sa.Column("version", sa.String(64)),
    sa.Column("cursor", sa.Text, nullable=False),
    sa.Column("until", sa.Text),
    sa.Column("as_of", Instant, nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("people", sa.Integer, nullable=False),
    sa.Column("finished_at", Instant),
    sa.Index(None, "environment", "event"),
    partial_index("ix_fanouts_open", "environment", "workflow", "priority", "ts", where="state = 'open'"),
)
