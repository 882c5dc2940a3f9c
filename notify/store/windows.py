"""Digest windows. An item is an event; a window is what several of one person's items share.

Windows follow the events' own times, so a backlog digests as it would have live: one window is open for a key, it
collects whatever joins, and where it ends is settled when it closes, from its items in order. That makes the result
independent of the order in which workers bring the items in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from notify.model import new_id
from notify.store.bulk import Row, insert, insert_new
from notify.store.notifications import suspend
from notify.store.tables import events, notifications, window_items, windows
from notify.store.types import among

_W, _I, _N = windows.c, window_items.c, notifications.c
OPEN, CLOSED, EMPTY = "open", "closed", "empty"
FIXED, CALENDAR = "fixed", "calendar"


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
    closes_at: datetime
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One event a closed window collected, as a template sees it."""

    id: str
    name: str
    time: datetime
    payload: Any


def join(
    connection: sa.Connection, environment: str, workflow: str, batch: Sequence[Joining], now: datetime
) -> list[datetime]:
    """Open or join a window for each, and let their (locked) notifications wait; returns when the windows close.

    Windows are upserted in key order: two workers that join the same ones in other orders would deadlock.
    """
    opened = _open_or_join(connection, environment, workflow, batch)
    places = {place: row.id for place, row in opened.items()}
    insert_new(connection, window_items, [_item(environment, one, places[_place(one)]) for one in batch])
    waiting = [{"id": one.notification, "wake_at": None, "window": places[_place(one)], "tries": 0} for one in batch]
    suspend(connection, environment, waiting, now)
    return sorted({row.closes_at for row in opened.values() if row.mode != CALENDAR})


def _place(one: Joining) -> tuple[str, str, str]:
    return (one.subscriber, one.step, one.key)


def _open_or_join(
    connection: sa.Connection, environment: str, workflow: str, batch: Sequence[Joining]
) -> dict[tuple[str, str, str], Any]:
    first: dict[tuple[str, str, str], Joining] = {}
    for one in sorted(batch, key=lambda one: one.ts):
        first.setdefault(_place(one), one)
    statement = insert(connection, windows)
    fresh = statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=["environment", "workflow", "subscriber", "step", "key"],
        index_where=sa.text("state = 'open'"),
        set_={
            "opened_at": sa.case((fresh.opened_at < _W.opened_at, fresh.opened_at), else_=_W.opened_at),
            "closes_at": sa.case((fresh.closes_at < _W.closes_at, fresh.closes_at), else_=_W.closes_at),
        },
    ).returning(_W.id, _W.subscriber, _W.step, _W.key, _W.closes_at, _W.mode)
    rows = [_window(environment, workflow, first[place]) for place in sorted(first)]
    return {(row.subscriber, row.step, row.key): row for row in connection.execute(statement, rows)}


def _window(environment: str, workflow: str, one: Joining) -> Row:
    return {
        "environment": environment,
        "id": new_id(),
        "workflow": workflow,
        "subscriber": one.subscriber,
        "step": one.step,
        "key": one.key,
        "mode": one.mode,
        "seconds": one.seconds,
        "opened_at": one.ts,
        "closes_at": one.closes_at,
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
        "withdrawn_at": None,
    }


def places(connection: sa.Connection, environment: str, ids: Sequence[str]) -> dict[tuple[str, str], str]:
    """The window in which each (notification, step) takes part."""
    query = sa.select(_I.notification, _I.step, _I.window).where(
        _I.environment == environment, among(_I.notification, ids)
    )
    return {(row.notification, row.step): row.window for row in connection.execute(query)}


def contents(connection: sa.Connection, environment: str, ids: Sequence[str]) -> dict[str, list[Item]]:
    """What these windows collected, oldest first."""
    query = (
        sa.select(_I.window, events.c.uid, events.c.kind, events.c.name, events.c.ts, events.c.data)
        .join(events, sa.and_(events.c.environment == _I.environment, events.c.uid == _I.event))
        .where(_I.environment == environment, among(_I.window, set(ids)), _I.withdrawn_at.is_(None))
        .order_by(events.c.ts, events.c.received_at, events.c.uid)
    )
    found: dict[str, list[Item]] = {}
    for row in connection.execute(query):
        found.setdefault(row.window, []).append(_content(row))
    return found


def next_close(connection: sa.Connection, environment: str, workflow: str) -> datetime | None:
    """When the next window of a workflow wants to close by itself."""
    query = sa.select(sa.func.min(_W.closes_at)).where(
        _W.environment == environment, _W.workflow == workflow, _W.state == OPEN, _W.mode == FIXED
    )
    return connection.execute(query).scalar()


def with_due(environment: Any, now: Any) -> sa.Select[Any]:
    """The workflows that have a window past its end."""
    past = sa.and_(_W.environment == environment, _W.state == OPEN, _W.mode == FIXED, _W.closes_at <= now)
    return sa.select(_W.workflow).where(past).distinct()


def any_due(connection: sa.Connection, environment: str, workflow: str, now: datetime) -> bool:
    """Whether a window of this workflow is past its end."""
    return bool(
        connection.execute(sa.select(with_due(environment, now).where(_W.workflow == workflow).exists())).scalar()
    )


def _content(row: Any) -> Item:
    """An event says its own data; a trigger its payload."""
    return Item(row.uid, row.name, row.ts, row.data.get("payload", {}) if row.kind == "trigger" else row.data)


class Collecting(NamedTuple):
    """How many windows of a workflow collect, and when the next one closes."""

    people: int
    closes_at: datetime | None


def collecting(connection: sa.Connection, environment: str, workflow: str) -> Collecting:
    """What a workflow's digests still collect."""
    query = sa.select(sa.func.count(), sa.func.min(_W.closes_at)).where(
        _W.environment == environment, _W.workflow == workflow, _W.state == OPEN
    )
    count, closes_at = connection.execute(query).one()
    return Collecting(count, closes_at)


def open_windows(connection: sa.Connection, environment: str) -> list[Any]:
    """How many windows of each workflow collect, and when the first closes: rows of workflow, count, until."""
    query = (
        sa.select(_W.workflow, sa.func.count().label("count"), sa.func.min(_W.closes_at).label("until"))
        .where(_W.environment == environment, _W.state == OPEN)
        .group_by(_W.workflow)
        .order_by(_W.workflow)
    )
    return list(connection.execute(query))


def closing(connection: sa.Connection, environment: str) -> list[Any]:
    """When the next window of each workflow closes by itself: rows of workflow, until."""
    query = (
        sa.select(_W.workflow, sa.func.min(_W.closes_at).label("until"))
        .where(_W.environment == environment, _W.state == OPEN, _W.mode == FIXED)
        .group_by(_W.workflow)
    )
    return list(connection.execute(query))
