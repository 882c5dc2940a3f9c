"""Before a calendar digest goes out: whoever something happened to by then has joined it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import datetime

import sqlalchemy as sa

from notify import clock
from notify.engine.context import Engine
from notify.store import backlog, events

#: Seconds after which a digest goes out without those who have not come yet.
LONGEST = 60.0
#: Seconds between looks while events are matched, and while another worker drives some of them.
LOOK = 0.25


async def caught_up(
    engine: Engine, workflow: str, drive: Callable[[], Awaitable[None]], stop: Callable[[], bool] = lambda: False
) -> None:
    """`drive` the workflow's batches, while a worker matches what was said, until nobody of before may still join."""
    now, ends = clock.now(), time.monotonic() + LONGEST
    while not (stop() or time.monotonic() > ends or await engine.read(_has_everybody_come, workflow, now)):
        await drive()
        await engine.rung_within(LOOK)


def _has_everybody_come(connection: sa.Connection, environment: str, workflow: str, now: datetime) -> bool:
    behind = backlog.undecided_before(connection, environment, workflow)
    return (behind is None or behind >= now) and events.watermark(connection, environment, now) >= now
