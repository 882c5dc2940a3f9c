"""Whether anything is left to do now, and what waits until when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from notify import clock
from notify.engine.context import Engine
from notify.model import NotificationStatus
from notify.store import backlog, events, held, messages, probe, windows


@dataclass(frozen=True, slots=True)
class Waiting:
    """What still waits, a line for people: `deadline-reminder · 12 waiting · until 2 Jan 09:00 UTC`."""

    what: str
    count: int
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Idle:
    """Idle is: nothing to copy from elsewhere, unmatched, ready, leased, or due to be delivered."""

    idle: bool
    waiting: Sequence[Waiting]


async def look(engine: Engine) -> Idle:
    """What there is to do and what waits."""
    # Asked first: a row is in the store before it leaves the outbox it was written to.
    elsewhere = not engine.nothing_elsewhere()
    known = {workflow for workflow in engine.registry.workflows if not engine.holds(workflow)}
    found = await engine.read(_look, engine, known, clock.now())
    return replace(found, idle=False) if elsewhere else found


def _look(connection: sa.Connection, environment: str, engine: Engine, known: set[str], now: datetime) -> Idle:
    """What waits for a workflow that is not here, or that an operator holds, is not to be done now."""
    found = probe.look(connection, environment, tuple(sorted(known)), now, engine.registry.limits())
    held_by_workers = backlog.workflows_with(connection, environment, NotificationStatus.RUNNING)
    nothing = (
        not (found.busy | held_by_workers.keys()) & known
        and not found.unmatched
        and (engine.held.everything or not messages.undelivered(connection, environment, now))
    )
    return Idle(nothing, [*_sleepers(connection, environment), *_rest(connection, environment, now)])


def _sleepers(connection: sa.Connection, environment: str) -> list[Waiting]:
    return [
        Waiting(row.workflow, row.count, row.until)
        for row in [*backlog.sleeping(connection, environment), *windows.open_windows(connection, environment)]
    ]


def _rest(connection: sa.Connection, environment: str, now: datetime) -> list[Waiting]:
    found: list[Waiting] = []
    if ahead := events.next_due(connection, environment, now):
        found.append(Waiting("events for later", len(events.held(connection, environment, now)), ahead))
    if retry := messages.next_attempt(connection, environment):
        found.append(Waiting("messages to try again", messages.to_retry(connection, environment), retry))
    kept = held.waiting(connection, environment)
    if kept.number:
        found.append(Waiting("messages that are held", kept.number, kept.until))
    return found
