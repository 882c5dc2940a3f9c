"""What channel steps came to: a step's message is its memory, so that nothing is written twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from notify.model import MessageStatus, Remembered, StepState
from notify.store.tables import messages
from notify.store.types import among

_M = messages.c
_NAMES = ("id", "notification", "step", "channel", "status", "reason", "error", "created_at")
#: A message that could not be made has no content: it failed with its step. Any other failed later, in its delivery.
UNMADE = sa.and_(_M.status == MessageStatus.FAILED, _M.content.is_(None))


def of(connection: sa.Connection, environment: str, notifications: Sequence[str]) -> Iterator[tuple[str, Remembered]]:
    """Each notification with each of its channel steps, as they were decided: deliveries change nothing here.

    What was held is let go later and then says nothing of it: its step's own row does.
    """
    query = sa.select(*(_M[name] for name in _NAMES), UNMADE.label("unmade")).where(
        _M.environment == environment, among(_M.notification, notifications)
    )
    for row in connection.execute(query).all():
        yield row.notification, _remembered(row)


def _remembered(row: Any) -> Remembered:
    state, status, reason, error = _decided(row)
    value = {"status": status, "reason": reason, "message": row.id}
    return Remembered(row.step, row.channel, state, value, {"message": error} if error else None, row.created_at)


def _decided(row: Any) -> tuple[StepState, str, str | None, str | None]:
    if row.status in (MessageStatus.SKIPPED, MessageStatus.SUPPRESSED):
        return StepState.SKIPPED, row.status, row.reason, None
    if row.unmade:
        return StepState.FAILED, row.status, row.reason, row.error
    status = MessageStatus.DELIVERED if row.channel == "in_app" else MessageStatus.QUEUED
    return StepState.COMPLETED, status, None, None
