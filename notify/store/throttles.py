"""Throttles: how many of one person's notifications passed since when, one row a (workflow, person, step, key).

The row is the lock and says what the latest window holds. Windows before it are read from what the notifications
remember: whoever comes late, in a backlog that several workers share, belongs to one of those.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from notify.model import StepState
from notify.store.bulk import insert, upsert
from notify.store.tables import notifications, steps, throttles
from notify.store.types import among, chosen_once

_T, _N, _S = throttles.c, notifications.c, steps.c
#: Whom a window is for: a subscriber, a step and a key.
Place = tuple[str, str, str]
KIND = "throttle"
#: How long a window is kept after its end, and how many are dropped at once.
KEEP = timedelta(days=7)
_AT_ONCE = 1000


@dataclass(slots=True)
class Window:
    """So many passed in [since, until)."""

    since: datetime
    until: datetime
    count: int


def hold(
    connection: sa.Connection, environment: str, workflow: str, places: Collection[Place], now: datetime
) -> dict[Place, Window]:
    """The latest window of each place, locked until the transaction ends.

    Of a place that has none the window is empty, and begins and ends where the windows that are kept begin. Rows are
    made and locked in the order of their keys: two workers that want the same ones in other orders would deadlock.
    """
    statement = insert(connection, throttles)
    statement = statement.on_conflict_do_update(index_elements=list(throttles.primary_key), set_={"count": _T.count})
    statement = statement.returning(_T.subscriber, _T.step, _T.key, _T.started_at, _T.until, _T.count)
    none = Window(now - KEEP, now - KEEP, 0)
    rows = [_row(place, none) | {"environment": environment, "workflow": workflow} for place in sorted(places)]
    return {
        (subscriber, step, key): Window(since, until, count)
        for subscriber, step, key, since, until, count in (connection.execute(statement, rows) if rows else ())
    }


def _row(place: Place, window: Window) -> dict[str, Any]:
    subscriber, step, key = place
    whom = {"subscriber": subscriber, "step": step, "key": key}
    return whom | {"started_at": window.since, "until": window.until, "count": window.count}


def earlier(
    connection: sa.Connection, environment: str, workflow: str, held: Mapping[Place, Window]
) -> dict[Place, list[Window]]:
    """The windows before those held, in order, as the steps that passed remember them."""
    query = (
        sa.select(_N.subscriber, _S.key, _S.value)
        .join(steps, sa.and_(_S.environment == _N.environment, _S.notification == _N.id))
        .where(
            _N.environment == environment,
            _N.workflow == workflow,
            among(_N.subscriber, {subscriber for subscriber, _, _ in held}),
            among(_S.key, {step for _, step, _ in held}),
            _S.kind == KIND,
            _S.state == StepState.COMPLETED,
        )
    )
    found: dict[Place, dict[str, Window]] = {}
    for row in connection.execute(query):
        place = (row.subscriber, row.key, row.value.get("key"))
        if place in held:
            since, until = (datetime.fromisoformat(row.value[name]) for name in ("since", "until"))
            if since < held[place].since:
                window = found.setdefault(place, {}).setdefault(row.value["since"], Window(since, until, 0))
                window.count += 1
    return {place: sorted(windows.values(), key=lambda one: one.since) for place, windows in found.items()}


def save(connection: sa.Connection, environment: str, workflow: str, windows: Mapping[Place, Window]) -> None:
    """What the (held) places' latest windows are now."""
    rows = [
        _row(place, window) | {"environment": environment, "workflow": workflow} for place, window in windows.items()
    ]
    upsert(connection, throttles, rows, ["started_at", "until", "count"])


def forget(connection: sa.Connection, environment: str, now: datetime) -> int:
    """Drop some of the windows that ended long ago; returns how many."""
    over = (
        sa.select(_T.key)
        .where(_T.environment == environment, _T.until < now - KEEP)
        .limit(_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    return connection.execute(throttles.delete().where(chosen_once(over))).rowcount
