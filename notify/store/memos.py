"""The memo: what each notification's steps came to. A channel step's memory is its message; others are rows here.

A held message goes on to be something else: its step has a row as well, which keeps what was decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from notify.model import Remembered, StepState
from notify.store import decisions
from notify.store.bulk import upsert
from notify.store.tables import steps
from notify.store.types import among


def recall(connection: sa.Connection, environment: str, ids: Sequence[str]) -> dict[str, dict[str, Remembered]]:
    """The memo of each notification, by step key; one that remembers nothing is absent."""
    query = sa.select(steps).where(steps.c.environment == environment, among(steps.c.notification, ids))
    memo: dict[str, dict[str, Remembered]] = {}
    for row in connection.execute(query).all():
        memo.setdefault(row.notification, {})[row.key] = _remembered(row)
    for notification, decided in decisions.of(connection, environment, ids):
        own = memo.setdefault(notification, {})
        if decided.key not in own or own[decided.key].state is StepState.PENDING:
            own[decided.key] = decided
    return memo


def _remembered(row: Any) -> Remembered:
    return Remembered(row.key, row.kind, StepState(row.state), row.value, row.error, row.started_at)


def remember(connection: sa.Connection, environment: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep rows of `notification`, `key`, `kind`, `state`, `value`, `error`, `started_at`, `finished_at`."""
    whole = [{**row, "environment": environment} for row in rows]
    upsert(connection, steps, whole, ["state", "value", "error", "finished_at"])
