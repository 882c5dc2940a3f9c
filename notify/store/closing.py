"""Closing digest windows: where each ends is settled here, from its items in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from notify.model import NotificationStatus, StepState, new_id
from notify.store.bulk import Row
from notify.store.tables import notifications, steps, window_items, windows
from notify.store.types import among
from notify.store.windows import CALENDAR, CLOSED, EMPTY, FIXED, OPEN

_W, _I, _N = windows.c, window_items.c, notifications.c


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
    due = _calendar_due(environment, workflow, now, since, until)
    due = due.order_by(_W.closes_at, _W.id).limit(limit).with_for_update(skip_locked=True)
    return _close(connection, environment, connection.execute(due).all(), _cut(since, until or now), now)


@dataclass(frozen=True, slots=True)
class _Part:
    """A stretch of one open window's items: closed as a window, or left open."""

    items: list[Any]
    closes_at: datetime
    closed: bool


Split = Callable[[Any, list[Any]], list[_Part]]


def _split_at(horizon: datetime) -> Split:
    def split(window: Any, items: list[Any]) -> list[_Part]:
        parts: list[_Part] = []
        ends = window.closes_at
        while items:
            if ends > horizon:
                # One window is open for a key: what is not over yet stays together, and is divided when it closes.
                parts.append(_Part(items, ends, closed=False))
                break
            inside = [item for item in items if item.ts < ends]
            items = items[len(inside) :]
            parts += [_Part(inside, ends, closed=True)] if inside else []
            ends = items[0].ts + timedelta(seconds=window.seconds) if items else ends
        return parts

    return split


def _cut(since: datetime | None, until: datetime) -> Split:
    def cut(window: Any, items: list[Any]) -> list[_Part]:
        taken = [item for item in items if item.ts < until and (since is None or item.ts >= since)]
        left = [item for item in items if item not in taken]
        parts = [_Part(taken, window.closes_at, closed=True), _Part(left, window.closes_at, closed=False)]
        return [part for part in parts if part.items]

    return cut


def _close(connection: sa.Connection, environment: str, due: Sequence[Any], split: Split, now: datetime) -> int:
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
        if self._opened:
            rows = [{name: value for name, value in row.items() if name != "one"} for row in self._opened]
            connection.execute(windows.insert(), rows)
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
        moved = [{"one": row["one"], "at": row["step"], "into": row["window"]} for row in self._members if row["moved"]]
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


def would_close(
    connection: sa.Connection,
    environment: str,
    workflow: str,
    now: datetime,
    since: datetime | None,
    until: datetime | None,
) -> list[str]:
    """Whose calendar windows `close_calendar` would close."""
    due = _calendar_due(environment, workflow, now, since, until).subquery()
    return list(connection.execute(sa.select(due.c.subscriber).distinct().order_by(due.c.subscriber)).scalars())


def _calendar_due(
    environment: str, workflow: str, now: datetime, since: datetime | None, until: datetime | None
) -> sa.Select[Any]:
    due = sa.select(windows).where(
        _W.environment == environment, _W.workflow == workflow, _W.state == OPEN, _W.mode == CALENDAR
    )
    by_hand = since is not None or until is not None
    return due.where(_holds_between(since, until or now)) if by_hand else due.where(_W.closes_at <= now)


def _holds_between(since: datetime | None, until: datetime) -> sa.ColumnElement[bool]:
    inside = sa.and_(_I.environment == _W.environment, _I.window == _W.id, _I.withdrawn_at.is_(None), _I.ts < until)
    return sa.exists().where(inside if since is None else sa.and_(inside, _I.ts >= since))
