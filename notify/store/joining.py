"""Joining digest windows: one is open for a key, and whoever comes joins it under the rule it was opened with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from notify.model import new_id
from notify.store.bulk import Row, given, insert_new
from notify.store.notifications import suspend
from notify.store.tables import window_items, windows
from notify.store.types import among
from notify.store.windows import CALENDAR, CLOSED, LOOKBACK, OPEN

_W, _I = windows.c, window_items.c
Place = tuple[str, str, str]
#: When a calendar window closes until it is known; nobody else ever sees it.
_NEVER = datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Joining:
    """One notification's wish to be digested."""

    notification: str
    subscriber: str
    event: str
    ts: datetime
    step: str
    key: str
    mode: str
    #: When a window that begins at an instant is to be looked at.
    closes: Callable[[datetime], datetime]
    #: How long it collects: `seconds`, and what else its mode knows.
    rule: Mapping[str, Any] = field(default_factory=lambda: {})
    #: The window it has carried last, of which everything comes along.
    brought: str | None = None

    @property
    def place(self) -> Place:
        """What one open window is for, within a workflow."""
        return (self.subscriber, self.step, self.key)


def join(
    connection: sa.Connection, environment: str, workflow: str, batch: Sequence[Joining], now: datetime
) -> list[datetime]:
    """Open or join a window for each, and let their (locked) notifications wait; returns when the windows close.

    Who comes to a calendar digest after it went out waits for the next one, whenever their event happened. Windows are
    locked in key order: two workers that join the same ones in other orders would deadlock.
    """
    joined = _open_or_join(connection, environment, workflow, batch)
    insert_new(connection, window_items, [_item(environment, one, joined[one.place].id) for one in batch])
    waiting = [_waiting(one, joined[one.place].id) for one in batch]
    suspend(connection, environment, waiting, now)
    told = _told(connection, environment, workflow, [one for one in batch if one.mode == CALENDAR])
    closes = {row.id: row.closes_at for row in joined.values()}
    closes |= _earlier(connection, environment, batch, joined, told, now)
    return sorted({closes[row.id] for row in joined.values() if row.mode != CALENDAR})


def _waiting(one: Joining, window: str) -> Row:
    return {"id": one.notification, "wake_at": None, "window": window, "reached_at": one.ts, "tries": 0}


def _open_or_join(
    connection: sa.Connection, environment: str, workflow: str, batch: Sequence[Joining]
) -> dict[Place, Any]:
    first = _first(batch)
    found: dict[Place, Any] = {}
    # Whoever closes a window between the two statements makes room for another.
    while missing := [first[place] for place in sorted(first) if place not in found]:
        insert_new(connection, windows, [_window(environment, workflow, one) for one in missing])
        found |= _open(connection, environment, workflow, missing)
    return found


def _first(batch: Sequence[Joining]) -> dict[Place, Joining]:
    first: dict[Place, Joining] = {}
    for one in sorted(batch, key=lambda one: one.ts):
        first.setdefault(one.place, one)
    return first


def _open(connection: sa.Connection, environment: str, workflow: str, some: Sequence[Joining]) -> dict[Place, Any]:
    rows = [{"subscriber": one.subscriber, "step": one.step, "key": one.key} for one in some]
    wanted = given(connection, windows, rows, "subscriber", "step", "key").c
    query = (
        sa.select(_W.id, _W.subscriber, _W.step, _W.key, _W.mode, _W.rule, _W.opened_at, _W.closes_at)
        .where(_W.environment == environment, _W.workflow == workflow, _W.state == OPEN)
        .where(_W.subscriber == wanted.subscriber, _W.step == wanted.step, _W.key == wanted.key)
        .order_by(_W.subscriber, _W.step, _W.key)
        .with_for_update(of=windows)
    )
    return {(row.subscriber, row.step, row.key): row for row in connection.execute(query)}


def _window(environment: str, workflow: str, one: Joining) -> Row:
    return {
        "environment": environment,
        "id": new_id(),
        "workflow": workflow,
        "subscriber": one.subscriber,
        "step": one.step,
        "key": one.key,
        "mode": one.mode,
        "rule": dict(one.rule),
        "opened_at": one.ts,
        "closes_at": _NEVER if one.mode == CALENDAR else one.closes(one.ts),
        "state": OPEN,
    }


def _item(environment: str, one: Joining, window: str) -> Row:
    return {
        "environment": environment,
        "notification": one.notification,
        "step": one.step,
        "window": window,
        "event": one.event,
        "ts": one.ts,
        "brought": one.brought,
        "withdrawn_at": None,
    }


def _told(
    connection: sa.Connection, environment: str, workflow: str, batch: Sequence[Joining]
) -> dict[Place, datetime]:
    """When the calendar digests of these last went out, where that was after somebody's event."""
    if not batch:
        return {}
    names = ("subscriber", "step", "key")
    rows = [{name: getattr(one, name) for name in names} | {"opened_at": one.ts} for one in _first(batch).values()]
    asked = given(connection, windows, rows, *names, "opened_at").c
    same = sa.and_(*(_W[name] == asked[name] for name in names), _W.closed_at > asked.opened_at)
    query = (
        sa.select(*(_W[name] for name in names), sa.func.max(_W.closed_at).label("closed_at"))
        .where(_W.environment == environment, _W.workflow == workflow, _W.state == CLOSED, _W.mode == CALENDAR, same)
        .group_by(*(_W[name] for name in names))
    )
    return {(row.subscriber, row.step, row.key): row.closed_at for row in connection.execute(query)}


def _earlier(
    connection: sa.Connection,
    environment: str,
    batch: Sequence[Joining],
    joined: Mapping[Place, Any],
    told: Mapping[Place, datetime],
    now: datetime,
) -> dict[str, datetime]:
    """Windows that begin earlier than they did, or are full: each with when it is to be looked at now."""
    changed: dict[str, Row] = {}
    for one in batch:
        row = joined[one.place]
        known = changed.get(row.id, {"opened_at": row.opened_at, "closes_at": row.closes_at})
        if one.ts < known["opened_at"] or known["closes_at"] == _NEVER:
            closes_at = min(known["closes_at"], _closes_at(row, one, told.get(one.place, one.ts)))
            changed[row.id] = {"id": row.id, "opened_at": one.ts, "closes_at": closes_at}
    for row in _full(connection, environment, list(joined.values())):
        known = changed.get(row.id, {"id": row.id, "opened_at": row.opened_at, "closes_at": row.closes_at})
        changed[row.id] = known | {"closes_at": min(known["closes_at"], now)}
    if changed:
        new = given(connection, windows, [changed[id_] for id_ in sorted(changed)], "id", "opened_at", "closes_at").c
        earlier = windows.update().where(_W.environment == environment, _W.id == new.id)
        connection.execute(earlier.values(opened_at=new.opened_at, closes_at=new.closes_at))
    return {id_: row["closes_at"] for id_, row in changed.items()}


def _closes_at(window: Any, one: Joining, told: datetime) -> datetime:
    """When a window that begins with this one is to be looked at: it keeps the length it was opened with."""
    if window.mode == CALENDAR:
        return one.closes(max(one.ts, told))
    return one.ts if window.mode == LOOKBACK else one.ts + timedelta(seconds=window.rule["seconds"])


def _full(connection: sa.Connection, environment: str, joined: Sequence[Any]) -> list[Any]:
    """Of these windows, those that hold as much as they may."""
    limited = {row.id: row for row in joined if row.rule and "capacity" in row.rule}
    if not limited:
        return []
    query = (
        sa.select(_I.window, sa.func.count().label("items"))
        .where(_I.environment == environment, among(_I.window, sorted(limited)), _I.withdrawn_at.is_(None))
        .group_by(_I.window)
    )
    counts = {row.window: row.items for row in connection.execute(query).all()}
    return [row for id_, row in limited.items() if counts.get(id_, 0) >= row.rule["capacity"]]
