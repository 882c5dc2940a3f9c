"""Closing digest windows: where each ends is settled here, from its items in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

import sqlalchemy as sa

from notify.model import NotificationStatus
from notify.store.bulk import given
from notify.store.dividing import Part, divided
from notify.store.ending import Changes
from notify.store.tables import notifications, window_items, windows
from notify.store.types import among
from notify.store.windows import CALENDAR, CLOSED, LOOKBACK, OPEN

_W, _I, _N = windows.c, window_items.c, notifications.c
#: Windows, and their items, that are closed in one transaction: whoever carries them is claimed with all they hold.
WINDOWS, ITEMS = 200, 5000


def close_due(connection: sa.Connection, environment: str, workflow: str, *, horizon: datetime, now: datetime) -> int:
    """Close the windows that ended before `horizon` (the clock, and every earlier event matched and joined).

    The earliest live member of each becomes ready and carries on with the events, the others are merged.
    Returns how many windows of the workflow closed; those of a step that ends later come when these have carried on.
    """
    while found := _first_due(connection, environment, workflow, horizon):
        until = _others_begin_to_end(connection, environment, workflow, found[0].step, horizon)
        due = [window for window in found if window.step == found[0].step and window.closes_at <= until]
        if not due:
            # Somebody else has the window that ends first: whoever carries it may join one of these.
            return 0
        closed = _close(connection, environment, due, _split_at(connection, environment, due, until), now)
        if closed:
            return closed
    return 0


def _first_due(connection: sa.Connection, environment: str, workflow: str, horizon: datetime) -> Sequence[Any]:
    due = (
        sa.select(windows)
        .where(*_timed(environment, workflow), _W.closes_at <= horizon)
        .order_by(_W.closes_at, _W.id)
        .limit(WINDOWS)
        .with_for_update(skip_locked=True)
    )
    return connection.execute(due).all()


def _others_begin_to_end(
    connection: sa.Connection, environment: str, workflow: str, step: str, horizon: datetime
) -> datetime:
    """When the first window of another step ends, if before `horizon`: whoever carries it may join one of this step."""
    due = sa.and_(*_timed(environment, workflow), _W.closes_at < horizon)
    query = sa.select(_W.closes_at).where(due, _W.step != step).order_by(_W.closes_at).limit(1)
    return connection.execute(query).scalar() or horizon


def _timed(environment: str, workflow: str) -> list[sa.ColumnElement[bool]]:
    """Open windows that close by themselves."""
    return [_W.environment == environment, _W.workflow == workflow, _W.state == OPEN, _W.mode != CALENDAR]


def close_calendar(
    connection: sa.Connection,
    environment: str,
    workflow: str,
    *,
    now: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
) -> int:
    """Close calendar windows that are due, with everything they hold: a page of them, of which some hold something.

    With `since` or `until`, whatever they hold between the two, due or not.
    """
    page = _calendar_due(environment, workflow, now, since, until)
    page = page.order_by(_W.closes_at, _W.id).limit(WINDOWS).with_for_update(skip_locked=True)
    while due := connection.execute(page).all():
        closed = _close(connection, environment, due, _cut(since, until), now)
        if closed or since is not None or until is not None:
            return closed
    return 0


Split = Callable[[Any, list[Any]], Sequence[Part]]


def _split_at(connection: sa.Connection, environment: str, due: Sequence[Any], horizon: datetime) -> Split:
    last = _last_before(connection, environment, [window for window in due if window.mode == LOOKBACK])
    return lambda window, items: divided(window, items, horizon, last.get(window.id))


def _last_before(connection: sa.Connection, environment: str, due: Sequence[Any]) -> dict[str, datetime]:
    """When the keys of these windows last had an item in an earlier one, as far back as it matters."""
    if not due:
        return {}
    names = ("id", "workflow", "subscriber", "step", "key")
    rows = [{name: getattr(one, name) for name in names} | {"opened_at": _since(one)} for one in due]
    asked = given(connection, windows, rows, *names, "opened_at")
    same = sa.and_(*(_W[name] == asked.c[name] for name in names[1:]), _W.closes_at >= asked.c.opened_at)
    query = (
        sa.select(asked.c.id, sa.func.max(_I.ts).label("ts"))
        .join_from(windows, asked, same)
        .join(window_items, sa.and_(_I.environment == _W.environment, _I.window == _W.id))
        .where(_W.environment == environment, _W.mode == LOOKBACK, _W.state == CLOSED, _I.withdrawn_at.is_(None))
        .group_by(asked.c.id)
    )
    return {row.id: row.ts for row in connection.execute(query)}


def _since(window: Any) -> datetime:
    return window.opened_at - timedelta(seconds=window.rule["back"] + window.rule["seconds"])


def _cut(since: datetime | None, until: datetime | None) -> Split:
    def cut(window: Any, items: list[Any]) -> list[Part]:
        wanted = [(since is None or item.ts >= since) and (until is None or item.ts < until) for item in items]
        taken, left = ([item for item, is_ in zip(items, wanted, strict=True) if is_ is want] for want in (True, False))
        parts = [Part(taken, window.closes_at, closed=True), Part(left, window.closes_at, closed=False)]
        return [part for part in parts if part.items]

    return cut


def _close(connection: sa.Connection, environment: str, due: Sequence[Any], split: Split, now: datetime) -> int:
    some = _no_more_than(connection, environment, due, ITEMS)
    if not some:
        return 0
    items = _live_items(connection, environment, [window.id for window in some])
    changes = Changes(environment, now)
    for window in some:
        changes.apply(window, split(window, items.get(window.id, [])))
    changes.write(connection)
    return changes.count


def _no_more_than(connection: sa.Connection, environment: str, due: Sequence[Any], most: int) -> Sequence[Any]:
    """The first of these windows that hold so many items together: one at least, however many it holds."""
    query = (
        sa.select(_I.window, sa.func.count().label("items"))
        .where(_I.environment == environment, among(_I.window, [window.id for window in due]))
        .group_by(_I.window)
    )
    counts = {row.window: row.items for row in connection.execute(query).all()} if due else {}
    total = accumulate(counts.get(window.id, 0) for window in due)
    return [window for place, (window, sum_) in enumerate(zip(due, total, strict=True)) if sum_ <= most or not place]


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
    return due.where(_holds_between(since, until)) if by_hand else due.where(_W.closes_at <= now)


def _holds_between(since: datetime | None, until: datetime | None) -> sa.ColumnElement[bool]:
    inside = [_I.environment == _W.environment, _I.window == _W.id, _I.withdrawn_at.is_(None)]
    after = [] if since is None else [_I.ts >= since]
    before = [] if until is None else [_I.ts < until]
    return sa.exists().where(*inside, *after, *before)
