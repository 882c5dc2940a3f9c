"""An operator who cancels a scheduled wake-up means: not these. Whoever waited for it is cancelled and stays so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from notify import clock
from notify.engine.system_events import announce_cancelled
from notify.registry import Registry
from notify.store import alarms, cancellations

REASON = "cancelled_in_prefect"


def call_off_held(connection: sa.Connection, environment: str, registry: Registry, token: str) -> list[str]:
    """Cancel what a cancelled run held and had not ended, and its messages that no provider has; returns whom."""
    now = clock.now()
    ids = cancellations.held(connection, environment, token, REASON, now)
    cancellations.undelivered(connection, environment, token, REASON)
    announce_cancelled(connection, environment, registry, ids, now)
    return ids


def called_off(connection: sa.Connection, environment: str, registry: Registry, cancelled: Sequence[Any]) -> int:
    """Cancel who waits within the stretches of these alarms, and drop the alarms; returns how many were cancelled."""
    now = clock.now()
    count = 0
    for alarm in sorted(cancelled, key=lambda alarm: alarm.bucket):
        after = alarms.before(connection, environment, alarm.workflow, alarm.bucket)
        ids = cancellations.sleepers(
            connection, environment, alarm.workflow, after=after, until=alarm.bucket, reason=REASON, now=now
        )
        announce_cancelled(connection, environment, registry, ids, now)
        alarms.drop(connection, environment, [alarm.id])
        count += len(ids)
    return count
