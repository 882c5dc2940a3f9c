"""The first schema"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from notify.store.types import Id, Instant, Json

revision = "0001"
down_revision = None


def upgrade() -> None:
    """The first schema"""
    op.create_table(
        "alarms",
        sa.Column("environment", sa.String(length=50), nullable=False),
        sa.Column("id", Id, nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("bucket", Instant(), nullable=False),
        sa.Column("flow_run", Id, nullable=True),
        sa.Column("armed_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("environment", "id", name=op.f("pk_alarms")),
    )
    op.create_index("uq_alarms_bucket", "alarms", ["environment", "workflow", "bucket"], unique=True)
    op.create_table(
        "attempts",
        sa.Column("environment", sa.String(length=50), nullable=False),
        sa.Column("message", Id, nullable=False),
        sa.Column("number", sa.SmallInteger(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("finished_at", Instant(), nullable=True),
        sa.Column("outcome", sa.String(length=10), nullable=True),
        sa.Column("provider_message_id", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("environment", "message", "number", name=op.f("pk_attempts")),
    )
    op.create_table(
        "dedupe",
        sa.Column("environment", sa.String(length=50), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("first_seen", Instant(), nullable=False),
        sa.Column("uid", Id, nullable=False),
        sa.PrimaryKeyConstraint("environment", "name", "id", name=op.f("pk_dedupe")),
    )
    op.create_table(
        "events",
        sa.Column("environment", sa.String(length=50), nullable=False),
        sa.Column("uid", Id, nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=True),
        sa.Column("ts", Instant(), nullable=False),
        sa.Column("received_at", Instant(), nullable=False),
        sa.Column("data", Json, nullable=False),
        sa.Column("v", sa.Text(), nullable=True),
        sa.Column("user", Json, nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("verdict", sa.String(length=10), nullable=False),
        sa.Column("matched_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("environment", "uid", name=op.f("pk_events")),
    )
    op.create_index("ix_events_name_ts", "events", ["environment", "name", "ts"], unique=False)
    op.create_index(
        "ix_events_subject",
        "events",
        ["environment", "subject", "ts"],
        unique=False,
        sqlite_where=sa.text("subject IS NOT NULL"),
        postgresql_where=sa.text("subject IS NOT NULL"),
    )
    op.create_index(
        "ix_events_unmatched",
        "events",
        ["environment", "ts"],
        unique=False,
        sqlite_where=sa.text("matched_at IS NULL"),
        postgresql_where=sa.text("matched_at IS NULL"),
    )
    op.create_table(
        "fanouts",
        sa.Column("environment", sa.String(length=50), nullable=False),
        sa.Column("id", Id, nullable=False),
        sa.Column("event", Id, nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("transaction_id", sa.Text(), nullable=False),
        sa.Column("ts", Instant(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=True),
        sa.Column("cursor", sa.Text(), nullable=False),
        sa.Column("until", sa.Text(), nullable=True),
        sa.Column("as_of", Instant(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("finished_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("environment", "id", name=op.f("pk_fanouts")),
    )
    op.create_index(op.f("ix_fanouts_environment_event"), "fanouts", ["environment", "event"], unique=False)
    op.create_index(
        "ix_fanouts_open",
        "fanouts",
        ["environment", "workflow", "priority", "ts"],
        unique=False,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "flow_runs",
        sa.Column("environment", sa.String(length=50), nullable=False),
        sa.Column("id", Id, nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("worker", Id, nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("heartbeat_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("environment", "id", name=op.f("pk_flow_runs")),
    )
    op.create_table(
        "installation",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_installation")),
    )
    op.create_table(
        "leases",
        sa.Column("environment", sa.String(length=50), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", Id, nullable=False),
        sa.Column("until", Instant(), nullable=False),
        sa.Column("rank", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("environment", "name", name=op.f("pk_leases")),
    )
    op.create_table(
        "messages",
        sa.Column("environment", sa.String(length=50), nullable=False),
        sa.Column("id", Id, nullable=False),
        sa.Column("notification", Id, nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("subscriber", sa.Text(), nullable=False),
        sa.Column("transaction_id", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("content", Json, nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("delivery", sa.String(length=15), nullable=False),
        sa.Column("provider", sa.Text(), nullable=True),
        sa.Column("provider_message_id", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("window", Id, nullable=True),
        sa.Column("claim", Id, nullable=True),
        sa.Column("lease_until", Instant(), nullable=True),
        sa.Column("next_attempt_at", Instant(), nullable=True),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("sent_at", Instant(), nullable=True),
        sa.Column("delivered_at", Instant(), nullable=True),
        sa.Column("seen_at", Instant(), nullable=True),
        sa.Column("read_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("environment", "id", name=op.f("pk_messages")),
    )
    op.create_index("ix_messages_created", "messages", ["environment", "created_at"], unique=False)
    op.create_index("ix_messages_notification", "messages", ["environment", "notification"], unique=False)
    op.create_index(
        "ix_messages_queued",
        "messages",
        ["environment", "next_attempt_at"],
        unique=False,
        sqlite_where=sa.text("status = 'queued'"),
        postgresql_where=sa.text("status = 'queued'"),
    )
    op.create_index(
        "ix_messages_subscriber", "messages", ["environment", "subscriber", "channel", "created_at"], unique=False
    )
    op.create_table(
        "notifications",
        sa.Column("environment", sa.String(length=50), nullable=False),
        sa.Column("id", Id, nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("subscriber", sa.Text(), nullable=False),
        sa.Column("event", Id, nullable=False),
        sa.Column("transaction_id", sa.Text(), nullable=False),
        sa.Column("ts", Instant(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("version", sa.String(length=64), nullable=True),
        sa.Column("cancel_key", sa.Text(), nullable=True),
        sa.Column("cancel_reason", sa.Text(), nullable=True),
        sa.Column("claim", Id, nullable=True),
        sa.Column("lease_until", Instant(), nullable=True),
        sa.Column("wake_at", Instant(), nullable=True),
        sa.Column("waited_at", Instant(), nullable=True),
        sa.Column("window", Id, nullable=True),
        sa.Column("tries", sa.SmallInteger(), nullable=False),
        sa.Column("error", Json, nullable=True),
        sa.Column("failed_in", Id, nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("started_at", Instant(), nullable=True),
        sa.Column("finished_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("environment", "id", name=op.f("pk_notifications")),
    )
    op.create_index(
        "ix_notifications_cancel_key",
        "notifications",
        ["environment", "workflow", "cancel_key"],
        unique=False,
        sqlite_where=sa.text("cancel_key IS NOT NULL AND status IN ('ready', 'running', 'waiting')"),
        postgresql_where=sa.text("cancel_key IS NOT NULL AND status IN ('ready', 'running', 'waiting')"),
    )
    op.create_index("ix_notifications_event", "notifications", ["environment", "event"], unique=False)
    op.create_index(
        "ix_notifications_failed_in",
        "notifications",
        ["environment", "failed_in"],
        unique=False,
        sqlite_where=sa.text("failed_in IS NOT NULL"),
        postgresql_where=sa.text("failed_in IS NOT NULL"),
    )
    op.create_index(
        "ix_notifications_ready",
        "notifications",
        ["environment", "workflow", sa.text("priority DESC"), "ts"],
        unique=False,
        sqlite_where=sa.text("status = 'ready'"),
        postgresql_where=sa.text("status = 'ready'"),
    )
    op.create_index(
        "ix_notifications_running",
        "notifications",
        ["environment", "lease_until"],
        unique=False,
        sqlite_where=sa.text("status = 'running'"),
        postgresql_where=sa.text("status = 'running'"),
    )
    op.create_index(
        "ix_notifications_subscriber", "notifications", ["environment", "subscriber", "created_at"], unique=False
    )
    op.create_index("ix_notifications_transaction", "notifications", ["environment", "transaction_id"], unique=False)
    op.create_index(
        "ix_notifications_waiting",
        "notifications",
        ["environment", "workflow", "wake_at"],
        unique=False,
        sqlite_where=sa.text("status = 'waiting'"),
        postgresql_where=sa.text("status = 'waiting'"),
    )
    op.create_table(
        "omissions",
        sa.Column("environment", sa.String(length=50), nullable=False),
        sa.Column("event", Id, nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("environment", "event", "workflow", name=op.f("pk_omissions")),
    )
    op.create_index(
        op.f("ix_omissions_environment_workflow_reason"),
        "omissions",
        ["environment", "workflow", "reason"],
        unique=False,
    )
    op.create_table(
        "outbox",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("environment", sa.String(length=50), nullable=False),
        sa.Column("uid", Id, nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=True),
        sa.Column("ts", Instant(), nullable=False),
        sa.Column("received_at", Instant(), nullable=False),
        sa.Column("data", Json, nullable=False),
        sa.Column("v", sa.Text(), nullable=True),
        sa.Column("user", Json, nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_outbox")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "preferences",
        sa.Column("environment", sa.String(length=50), nullable=False),
        sa.Column("subscriber", sa.Text(), nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("environment", "subscriber", "workflow", "channel", name=op.f("pk_preferences")),
    )
    op.create_table(
        "steps",
        sa.Column("environment", sa.String(length=50), nullable=False),
        sa.Column("notification", Id, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("value", Json, nullable=True),
        sa.Column("error", Json, nullable=True),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("finished_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("environment", "notification", "key", name=op.f("pk_steps")),
    )
    op.create_table(
        "subscribers",
        sa.Column("environment", sa.String(length=50), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("first_name", sa.Text(), nullable=True),
        sa.Column("last_name", sa.Text(), nullable=True),
        sa.Column("avatar", sa.Text(), nullable=True),
        sa.Column("locale", sa.Text(), nullable=True),
        sa.Column("timezone", sa.Text(), nullable=True),
        sa.Column("data", Json, nullable=False),
        sa.Column("channels", Json, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("environment", "id", name=op.f("pk_subscribers")),
    )
    op.create_table(
        "unreported",
        sa.Column("environment", sa.String(length=50), nullable=False),
        sa.Column("id", Id, nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("finished_at", Instant(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("taken_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("environment", "id", name=op.f("pk_unreported")),
    )
    op.create_table(
        "versions",
        sa.Column("environment", sa.String(length=50), nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("templates", Json, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("environment", "workflow", "version", name=op.f("pk_versions")),
    )
    op.create_table(
        "window_items",
        sa.Column("environment", sa.String(length=50), nullable=False),
        sa.Column("notification", Id, nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("window", Id, nullable=False),
        sa.Column("event", Id, nullable=False),
        sa.Column("ts", Instant(), nullable=False),
        sa.Column("withdrawn_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("environment", "notification", "step", name=op.f("pk_window_items")),
    )
    op.create_index(
        op.f("ix_window_items_environment_window_ts"), "window_items", ["environment", "window", "ts"], unique=False
    )
    op.create_table(
        "windows",
        sa.Column("environment", sa.String(length=50), nullable=False),
        sa.Column("id", Id, nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("subscriber", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("mode", sa.String(length=10), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("opened_at", Instant(), nullable=False),
        sa.Column("closes_at", Instant(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("closed_at", Instant(), nullable=True),
        sa.Column("carrier", Id, nullable=True),
        sa.Column("items", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("environment", "id", name=op.f("pk_windows")),
    )
    op.create_index(
        "ix_windows_due",
        "windows",
        ["environment", "workflow", "closes_at"],
        unique=False,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index(
        "uq_windows_open",
        "windows",
        ["environment", "workflow", "subscriber", "step", "key"],
        unique=True,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )


def downgrade() -> None:
    """Back to the release before."""
    op.drop_index(
        "uq_windows_open",
        table_name="windows",
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.drop_index(
        "ix_windows_due",
        table_name="windows",
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.drop_table("windows")
    op.drop_index(op.f("ix_window_items_environment_window_ts"), table_name="window_items")
    op.drop_table("window_items")
    op.drop_table("versions")
    op.drop_table("unreported")
    op.drop_table("subscribers")
    op.drop_table("steps")
    op.drop_table("preferences")
    op.drop_table("outbox")
    op.drop_index(op.f("ix_omissions_environment_workflow_reason"), table_name="omissions")
    op.drop_table("omissions")
    op.drop_index(
        "ix_notifications_waiting",
        table_name="notifications",
        sqlite_where=sa.text("status = 'waiting'"),
        postgresql_where=sa.text("status = 'waiting'"),
    )
    op.drop_index("ix_notifications_transaction", table_name="notifications")
    op.drop_index("ix_notifications_subscriber", table_name="notifications")
    op.drop_index(
        "ix_notifications_running",
        table_name="notifications",
        sqlite_where=sa.text("status = 'running'"),
        postgresql_where=sa.text("status = 'running'"),
    )
    op.drop_index(
        "ix_notifications_failed_in",
        table_name="notifications",
        sqlite_where=sa.text("failed_in IS NOT NULL"),
        postgresql_where=sa.text("failed_in IS NOT NULL"),
    )
    op.drop_index("ix_notifications_event", table_name="notifications")
    op.drop_index(
        "ix_notifications_cancel_key",
        table_name="notifications",
        sqlite_where=sa.text("cancel_key IS NOT NULL AND status IN ('ready', 'running', 'waiting')"),
        postgresql_where=sa.text("cancel_key IS NOT NULL AND status IN ('ready', 'running', 'waiting')"),
    )
    op.drop_table("notifications")
    op.drop_index("ix_messages_subscriber", table_name="messages")
    op.drop_index(
        "ix_messages_queued",
        table_name="messages",
        sqlite_where=sa.text("status = 'queued'"),
        postgresql_where=sa.text("status = 'queued'"),
    )
    op.drop_index("ix_messages_notification", table_name="messages")
    op.drop_index("ix_messages_created", table_name="messages")
    op.drop_table("messages")
    op.drop_table("leases")
    op.drop_table("installation")
    op.drop_table("flow_runs")
    op.drop_index(
        "ix_fanouts_open",
        table_name="fanouts",
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.drop_index(op.f("ix_fanouts_environment_event"), table_name="fanouts")
    op.drop_table("fanouts")
    op.drop_index(
        "ix_events_unmatched",
        table_name="events",
        sqlite_where=sa.text("matched_at IS NULL"),
        postgresql_where=sa.text("matched_at IS NULL"),
    )
    op.drop_index(
        "ix_events_subject",
        table_name="events",
        sqlite_where=sa.text("subject IS NOT NULL"),
        postgresql_where=sa.text("subject IS NOT NULL"),
    )
    op.drop_index("ix_events_name_ts", table_name="events")
    op.drop_table("events")
    op.drop_table("dedupe")
    op.drop_table("attempts")
    op.drop_index("uq_alarms_bucket", table_name="alarms")
    op.drop_table("alarms")
