"""Digest windows. An item is an event; a window is what several of one person's items share.

Windows follow the events' own times, so a backlog digests as it would have live: one window is open for a key, it
collects whatever joins, and where it ends is settled when it closes, from its items in order. That makes the result
independent of the order in which workers bring the items in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from notify.model import NotificationStatus, StepState, new_id
from notify.store.database import Row, insert, insert_new
from notify.store.notifications import suspend
from notify.store.tables import events, notifications, steps, window_items, windows
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
    waiting = [
        {"id": one.notification, "wake_at": None, "window": places[_place(one)], "tries": 0} for one in batch
    ]
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


def close_due(
    connection: sa.Connection, environment: str, workflow: str, *, horizon: datetime, now: datetime, limit: int
) -> int:
    """Close the windows that ended before `horizon` (the clock, and every earlier event matched and joined).

    The earliest live member of each becomes ready and carries on with the events, the others are merged.
    Returns how many windows of the workflow closed.
    """
    due = (
        sa.select(windows)
        .where(_W.environment == environment, _W.workflow == workflow, _W.state == OPEN, _W.mode == FIXED)
        .where(_W.closes_at <= horizon)
        .order_by(_W.closes_at, _W.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return _close(connection, environment, connection.execute(due).all(), _split_at(horizon), now)


def close_calendar(
    connection: sa.Connection,
    environment: str,
    workflow: str,
    *,
    now: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 1000,
) -> int:
    """Close calendar windows that are due; with `since` or `until`, whatever they hold between the two, due or not."""
    due = sa.select(windows).where(
        _W.environment == environment, _W.workflow == workflow, _W.state == OPEN, _W.mode == CALENDAR
    )
    by_hand = since is not None or until is not None
    due = due.where(_W.opened_at < (until or now)) if by_hand else due.where(_W.closes_at <= now)
    due = due.order_by(_W.closes_at, _W.id).limit(limit).with_for_update(skip_locked=True)
    return _close(connection, environment, connection.execute(due).all(), _cut(since, until or now), now)


@dataclass(frozen=True, slots=True)
class _Part:
    """A stretch of one open window's items: closed as a window, or left open."""

    items: list[Any]
    closes_at: datetime
    closed: bool


def _split_at(horizon: datetime) -> Any:
    def split(window: Any, items: list[Any]) -> list[_Part]:
        parts: list[_Part] = []
        ends = window.closes_at
        while items:
            inside = [item for item in items if item.ts < ends]
            items = items[len(inside) :]
            parts += [_Part(inside, ends, ends <= horizon)] if inside else []
            ends = items[0].ts + timedelta(seconds=window.seconds) if items else ends
        return parts

    return split


def _cut(since: datetime | None, until: datetime) -> Any:
    def cut(window: Any, items: list[Any]) -> list[_Part]:
        taken = [item for item in items if item.ts < until and (since is None or item.ts >= since)]
        left = [item for item in items if item not in taken]
        parts = [_Part(taken, window.closes_at, closed=True), _Part(left, window.closes_at, closed=False)]
        return [part for part in parts if part.items]

    return cut


def _close(connection: sa.Connection, environment: str, due: Sequence[Any], split: Any, now: datetime) -> int:
    if not due:
        return 0
    items = _live_items(connection, environment, [window.id for window in due])
    changes = _Changes(environment, now)
    for window in due:
        changes.apply(window, split(window, items.get(window.id, [])))
    changes.write(connection)
    return changes.count


def _live_items(connection: sa.Connection, environment: str, ids: Sequence[str]) -> dict[str, list[Any]]:
    """Items of members that still wait, locked: a cancellation under way is waited for, not overtaken."""
    query = (
        sa.select(_I.window, _I.notification, _I.step, _I.ts, _I.event)
        .join(notifications, sa.and_(_N.environment == _I.environment, _N.id == _I.notification))
        .where(_I.environment == environment, among(_I.window, ids), _I.withdrawn_at.is_(None))
        .where(_N.status == NotificationStatus.WAITING)
        .order_by(_N.id)
        .with_for_update(of=notifications)
    )
    found: dict[str, list[Any]] = {}
    for item in sorted(connection.execute(query), key=lambda item: (item.ts, item.event, item.notification)):
        found.setdefault(item.window, []).append(item)
    return found


class _Changes:
    """What closing several windows comes to, gathered so that it is written in a few statements."""

    def __init__(self, environment: str, now: datetime) -> None:
        self.environment = environment
        self.now = now
        self.count = 0
        self._windows: list[Row] = []
        self._opened: list[Row] = []
        self._members: list[Row] = []

    def apply(self, window: Any, parts: list[_Part]) -> None:
        """The first part keeps the window's row, each further one gets a row of its own."""
        if not parts:
            self._windows.append(self._ending(window.id, EMPTY, window.opened_at, window.closes_at, []))
        for part, id_ in zip(parts, [window.id, *(new_id() for _ in parts[1:])], strict=False):
            state = CLOSED if part.closed else OPEN
            ending = self._ending(id_, state, part.items[0].ts, part.closes_at, part.items)
            if id_ == window.id:
                self._windows.append(ending)
            else:
                self._opened.append(self._copy(window, ending))
            self._members += self._moves(part, id_)
            self.count += part.closed

    def _ending(self, id_: str, state: str, opened: datetime, closes: datetime, items: list[Any]) -> Row:
        closed = state != OPEN
        return {
            "one": id_,
            "state": state,
            "opened_at": opened,
            "closes_at": closes,
            "closed_at": self.now if closed else None,
            "carrier": items[0].notification if items and closed else None,
            "items": len(items) if closed else None,
        }

    def _copy(self, window: Any, ending: Row) -> Row:
        same = {name: getattr(window, name) for name in ("workflow", "subscriber", "step", "key", "mode", "seconds")}
        return same | ending | {"environment": self.environment, "id": ending["one"]}

    def _moves(self, part: _Part, window: str) -> Iterable[Row]:
        for position, item in enumerate(part.items):
            role = "waits" if not part.closed else "merged" if position else "carries"
            yield {
                "one": item.notification,
                "step": item.step,
                "window": window,
                "role": role,
                "moved": window != item.window,
            }

    def write(self, connection: sa.Connection) -> None:
        """Closed rows first: one window at most may be open for a key."""
        self._end_windows(connection)
        insert_new(connection, windows, [{k: v for k, v in row.items() if k != "one"} for row in self._opened])
        self._move_items(connection)
        self._release(connection)
        self._settle_steps(connection)

    def _end_windows(self, connection: sa.Connection) -> None:
        names = ("state", "opened_at", "closes_at", "closed_at", "carrier", "items")
        statement = (
            windows.update()
            .where(_W.environment == self.environment, _W.id == sa.bindparam("one"))
            .values({name: sa.bindparam(f"new_{name}", type_=_W[name].type) for name in names})
        )
        rows = [{"one": row["one"]} | {f"new_{name}": row[name] for name in names} for row in self._windows]
        connection.execute(statement, rows)

    def _move_items(self, connection: sa.Connection) -> None:
        moved = [
            {"one": row["one"], "at": row["step"], "into": row["window"]} for row in self._members if row["moved"]
        ]
        statement = (
            window_items.update()
            .where(_I.environment == self.environment, _I.notification == sa.bindparam("one"))
            .where(_I.step == sa.bindparam("at"))
            .values(window=sa.bindparam("into", type_=_I.window.type))
        )
        if moved:
            connection.execute(statement, moved)

    def _release(self, connection: sa.Connection) -> None:
        status = {"waits": NotificationStatus.WAITING, "merged": NotificationStatus.MERGED}
        rows = [
            {
                "one": row["one"],
                "into": row["window"],
                "becomes": status.get(row["role"], NotificationStatus.READY),
                "because": "merged_into_digest" if row["role"] == "merged" else None,
                "at": self.now if row["role"] == "merged" else None,
            }
            for row in self._members
            if row["moved"] or row["role"] != "waits"
        ]
        statement = (
            notifications.update()
            .where(_N.environment == self.environment, _N.id == sa.bindparam("one"))
            .values(
                window=sa.bindparam("into", type_=_N.window.type),
                status=sa.bindparam("becomes", type_=_N.status.type),
                reason=sa.bindparam("because", type_=_N.reason.type),
                finished_at=sa.bindparam("at", type_=_N.finished_at.type),
            )
        )
        if rows:
            connection.execute(statement, rows)

    def _settle_steps(self, connection: sa.Connection) -> None:
        for role, state in (("carries", StepState.COMPLETED), ("merged", StepState.MERGED)):
            ids = [row["one"] for row in self._members if row["role"] == role]
            connection.execute(
                steps.update()
                .where(steps.c.environment == self.environment, among(steps.c.notification, ids))
                .where(steps.c.kind == "digest", steps.c.state == StepState.DELAYED)
                .values(state=state, finished_at=self.now)
            )


def places(connection: sa.Connection, environment: str, ids: Sequence[str]) -> dict[tuple[str, str], str]:
    """The window in which each (notification, step) takes part."""
    query = sa.select(_I.notification, _I.step, _I.window).where(
        _I.environment == environment, among(_I.notification, ids)
    )
    return {(row.notification, row.step): row.window for row in connection.execute(query)}


def contents(connection: sa.Connection, environment: str, ids: Sequence[str]) -> dict[str, list[Item]]:
    """What these windows collected, oldest first."""
    query = (
        sa.select(_I.window, events.c.uid, events.c.name, events.c.ts, events.c.data)
        .join(events, sa.and_(events.c.environment == _I.environment, events.c.uid == _I.event))
        .where(_I.environment == environment, among(_I.window, set(ids)), _I.withdrawn_at.is_(None))
        .order_by(events.c.ts, events.c.received_at, events.c.uid)
    )
    found: dict[str, list[Item]] = {}
    for row in connection.execute(query):
        found.setdefault(row.window, []).append(Item(row.uid, row.name, row.ts, row.data))
    return found


def next_close(connection: sa.Connection, environment: str) -> datetime | None:
    """When the next window wants to close by itself."""
    query = sa.select(sa.func.min(_W.closes_at)).where(
        _W.environment == environment, _W.state == OPEN, _W.mode == FIXED
    )
    return connection.execute(query).scalar()


def due_workflows(connection: sa.Connection, environment: str, now: datetime) -> list[str]:
    """Workflows that have a window past its end."""
    query = (
        sa.select(_W.workflow)
        .where(_W.environment == environment, _W.state == OPEN, _W.mode == FIXED, _W.closes_at <= now)
        .distinct()
    )
    return list(connection.execute(query).scalars())
