"""Schedules, presence, ways to collect and to wait"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from notify.store.types import Id, Instant, Json

revision = "0002"
down_revision = "0001"

_HELD = sa.text("status = 'held'")
_RELEASED = sa.text("released_at IS NOT NULL")
_RUNNING = sa.text("run_key IS NOT NULL AND status = 'running'")
_REACHED = sa.text("status = 'ready' AND reached_at IS NOT NULL")
_OPEN = sa.text("state = 'open'")
_TIMED = sa.text("state = 'open' AND mode <> 'calendar'")
_CALENDAR = sa.text("state = 'open' AND mode = 'calendar'")
_LOOKBACK = sa.text("mode = 'lookback' AND state = 'closed'")
_TOLD = sa.text("mode = 'calendar' AND state = 'closed'")
_ADDED = {
    "subscribers": {"schedule": Json, "online": sa.Boolean(), "online_at": Instant()},
    "versions": {"named": sa.Text(), "steps": Json},
    "notifications": {"reached_at": Instant(), "run_key": sa.Text()},
    "messages": {"released_at": Instant()},
    "windows": {"rule": Json},
    "window_items": {"reason": sa.Text(), "brought": Id},
}


def upgrade() -> None:
    """Open windows keep the length they have."""
    for table, columns in _ADDED.items():
        for name, type_ in columns.items():
            op.add_column(table, sa.Column(name, type_, nullable=True))
    rule = "jsonb_build_object" if op.get_bind().dialect.name == "postgresql" else "json_object"
    op.execute(f"UPDATE windows SET rule = {rule}('seconds', seconds) WHERE seconds IS NOT NULL")
    op.drop_column("windows", "seconds")
    op.create_table(
        "awaited",
        sa.Column("environment", sa.String(length=50), nullable=False),
        sa.Column("notification", Id, nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("expression", sa.Text(), nullable=True),
        sa.Column("since", Instant(), nullable=False),
        sa.Column("until", Instant(), nullable=False),
        sa.Column("reached_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("environment", "notification", "step", name=op.f("pk_awaited")),
    )
    op.create_index(op.f("ix_awaited_environment_name_key"), "awaited", ["environment", "name", "key"])
    op.create_table(
        "throttles",
        sa.Column("environment", sa.String(length=50), nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("subscriber", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("until", Instant(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("environment", "workflow", "subscriber", "step", "key", name=op.f("pk_throttles")),
    )
    op.create_index(op.f("ix_throttles_environment_until"), "throttles", ["environment", "until"])
    _index("ix_messages_held", "messages", ["next_attempt_at"], _HELD)
    _index("ix_messages_released", "messages", ["subscriber", "released_at"], _RELEASED)
    _index("ix_notifications_run_key", "notifications", ["workflow", "run_key"], _RUNNING)
    _index("ix_notifications_reached", "notifications", ["workflow", "reached_at"], _REACHED)
    _index("ix_windows_lookback", "windows", ["workflow", "subscriber", "step", "key"], _LOOKBACK)
    _index("ix_windows_told", "windows", ["workflow", "subscriber", "step", "key", "closed_at"], _TOLD)
    op.drop_index("ix_windows_due", table_name="windows")
    _index("ix_windows_due", "windows", ["workflow", "closes_at", "step"], _TIMED)
    _index("ix_windows_calendar", "windows", ["workflow", "closes_at"], _CALENDAR)


def _index(name: str, table: str, columns: list[str], where: sa.TextClause) -> None:
    op.create_index(name, table, ["environment", *columns], sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    """Windows keep their length, and lose what else they were opened with."""
    op.drop_index("ix_windows_calendar", table_name="windows")
    op.drop_index("ix_windows_due", table_name="windows")
    _index("ix_windows_due", "windows", ["workflow", "closes_at"], _OPEN)
    op.drop_index("ix_windows_told", table_name="windows")
    op.drop_index("ix_windows_lookback", table_name="windows")
    op.drop_index("ix_notifications_reached", table_name="notifications")
    op.drop_index("ix_notifications_run_key", table_name="notifications")
    op.drop_index("ix_messages_released", table_name="messages")
    op.drop_index("ix_messages_held", table_name="messages")
    op.drop_table("throttles")
    op.drop_table("awaited")
    op.add_column("windows", sa.Column("seconds", sa.Float(), nullable=True))
    if op.get_bind().dialect.name == "postgresql":
        op.execute("UPDATE windows SET seconds = CAST(rule ->> 'seconds' AS double precision)")
    else:
        op.execute("UPDATE windows SET seconds = rule ->> 'seconds'")
    for table, columns in _ADDED.items():
        for name in columns:
            op.drop_column(table, name)
