"""What closing several windows comes to, gathered so that it is written in a few statements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from notify.model import NotificationStatus, StepState, new_id
from notify.store import awaiting
from notify.store.bulk import Row, given
from notify.store.dividing import Part
from notify.store.tables import notifications, steps, window_items, windows
from notify.store.types import among
from notify.store.windows import CLOSED, EMPTY, OPEN

_W, _I, _N = windows.c, window_items.c, notifications.c
_ENDS = ("state", "opened_at", "closes_at", "closed_at", "carrier", "items")
_BECOMES = ("window", "status", "reason", "reached_at", "finished_at")
#: What the digest step of a window's members comes to.
_SETTLED = {"carries": StepState.COMPLETED, "passes": StepState.SKIPPED, "merged": StepState.MERGED}
_STATUS = {"waits": NotificationStatus.WAITING, "merged": NotificationStatus.MERGED}


class Changes:
    """Windows and what they are divided into; `count` is how many close."""

    def __init__(self, environment: str, now: datetime) -> None:
        self.environment = environment
        self.now = now
        self.count = 0
        self._windows: list[Row] = []
        self._opened: list[Row] = []
        self._members: list[Row] = []

    def apply(self, window: Any, parts: Sequence[Part]) -> None:
        """The first part keeps the window's row, each further one gets a row of its own."""
        if not parts:
            self._windows.append({"id": window.id} | self._ending(EMPTY, window.opened_at, window.closes_at, []))
        for part, id_ in zip(parts, [window.id, *(new_id() for _ in parts[1:])], strict=False):
            state, opened = CLOSED if part.closed else OPEN, part.items[0].ts
            if id_ == window.id:
                opened = min(opened, window.opened_at) if state == OPEN else opened
                self._windows.append({"id": id_} | self._ending(state, opened, part.closes_at, part.items))
            else:
                self._opened.append(self._copy(window, id_, self._ending(state, opened, part.closes_at, part.items)))
            self._members += self._moves(part, id_)
            self.count += part.closed

    def _ending(self, state: str, opened: datetime, closes: datetime, items: Sequence[Any]) -> Row:
        closed = state != OPEN
        return {
            "state": state,
            "opened_at": opened,
            "closes_at": closes,
            "closed_at": self.now if closed else None,
            "carrier": items[0].notification if items and closed else None,
            "items": len(items) if closed else None,
        }

    def _copy(self, window: Any, id_: str, ending: Row) -> Row:
        same = {name: getattr(window, name) for name in ("workflow", "subscriber", "step", "key", "mode", "rule")}
        return same | ending | {"environment": self.environment, "id": id_}

    def _moves(self, part: Part, window: str) -> Iterator[Row]:
        first = "passes" if part.passed else "carries"
        for position, item in enumerate(part.items):
            role = "waits" if not part.closed else "merged" if position else first
            yield {
                "id": item.notification,
                "step": item.step,
                "window": window,
                "role": role,
                "moved": window != item.window,
                # Whoever joined a calendar window that was due already does not go back in their own time.
                "reached_at": max(part.closes_at, part.items[-1].ts) if part.closed else item.ts,
            }

    def write(self, connection: sa.Connection) -> None:
        """Closed rows first: one window at most may be open for a key."""
        new = given(connection, windows, self._windows, "id", *_ENDS).c
        ended = windows.update().where(_W.environment == self.environment, _W.id == new.id)
        connection.execute(ended.values({name: new[name] for name in _ENDS}))
        if self._opened:
            connection.execute(windows.insert(), self._opened)
        self._move_items(connection)
        self._release(connection)
        self._settle_steps(connection)
        merged = [row["id"] for row in self._members if row["role"] == "merged"]
        nothing = {"state": StepState.COMPLETED, "value": {"result": None}}
        awaiting.answer_callers(connection, self.environment, merged, nothing, self.now)

    def _move_items(self, connection: sa.Connection) -> None:
        moved = [row | {"notification": row["id"]} for row in self._members if row["moved"]]
        if moved:
            new = given(connection, window_items, moved, "notification", "step", "window").c
            mine = sa.and_(_I.environment == self.environment, _I.notification == new.notification, _I.step == new.step)
            connection.execute(window_items.update().where(mine).values(window=new.window))

    def _release(self, connection: sa.Connection) -> None:
        rows = [self._released(row) for row in self._members if row["moved"] or row["role"] != "waits"]
        if rows:
            new = given(connection, notifications, rows, "id", *_BECOMES).c
            mine = sa.and_(_N.environment == self.environment, _N.id == new.id)
            connection.execute(notifications.update().where(mine).values({name: new[name] for name in _BECOMES}))

    def _released(self, row: Row) -> Row:
        merged = row["role"] == "merged"
        return {
            "id": row["id"],
            "window": row["window"],
            "status": _STATUS.get(row["role"], NotificationStatus.READY),
            "reason": "merged_into_digest" if merged else None,
            "reached_at": row["reached_at"],
            "finished_at": self.now if merged else None,
        }

    def _settle_steps(self, connection: sa.Connection) -> None:
        for role, state in _SETTLED.items():
            ids = [row["id"] for row in self._members if row["role"] == role]
            if ids:
                delayed = sa.and_(steps.c.kind == "digest", steps.c.state == StepState.DELAYED)
                mine = sa.and_(steps.c.environment == self.environment, among(steps.c.notification, ids))
                connection.execute(steps.update().where(mine, delayed).values(state=state, finished_at=self.now))
