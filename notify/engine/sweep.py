"""What puts back what was lost: claims whose worker is gone, and instants that no alarm stands for.

It also forgets what nobody asks for any more: windows of throttles that ended long ago.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from notify import clock
from notify.engine.context import Engine
from notify.store import alarms, backlog, notifications, throttles, windows
from notify.store.wanted import want_alarms
from notify.timing import WIDEST


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep put back."""

    reclaimed: int
    alarms: int

    def __str__(self) -> str:
        return f"{self.reclaimed} notifications put back, {self.alarms} workflows have an alarm"


async def sweep_rows(engine: Engine) -> Swept:
    """Give expired claims back, and want an alarm for the next instant of every workflow that waits."""
    swept = await engine.write(_sweep, clock.now())
    if swept.reclaimed:
        engine.bell.set()
    return swept


def _sweep(connection: sa.Connection, environment: str, now: datetime) -> Swept:
    reclaimed = notifications.reclaim(connection, environment)
    throttles.forget(connection, environment, now)
    instants = next_instants(connection, environment)
    for workflow, instant in instants.items():
        if instant > now and not alarms.covered(connection, environment, workflow, instant, instant + WIDEST):
            want_alarms(connection, environment, workflow, [instant], now)
    return Swept(reclaimed, len(instants))


def next_instants(connection: sa.Connection, environment: str) -> Mapping[str, datetime]:
    """When each workflow next has something to do by itself."""
    found = {row.workflow: row.until for row in backlog.sleeping(connection, environment)}
    for row in windows.closing(connection, environment):
        found[row.workflow] = min(row.until, found.get(row.workflow, row.until))
    return found
