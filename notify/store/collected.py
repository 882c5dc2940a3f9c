"""What closed windows collected: the events of a digest, and those that were withdrawn from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from notify.store.bulk import Row, given
from notify.store.tables import events, window_items
from notify.store.types import among

_E, _I = events.c, window_items.c


@dataclass(frozen=True, slots=True)
class Item:
    """One event a closed window collected; `reason` is why it was withdrawn."""

    id: str
    name: str
    time: datetime
    payload: Any
    reason: str | None = None


def places(connection: sa.Connection, environment: str, ids: Sequence[str]) -> dict[tuple[str, str], str]:
    """The window in which each (notification, step) takes part."""
    query = sa.select(_I.notification, _I.step, _I.window).where(
        _I.environment == environment, among(_I.notification, ids)
    )
    return {(row.notification, row.step): row.window for row in connection.execute(query)}


def contents(connection: sa.Connection, environment: str, ids: Iterable[str]) -> dict[str, list[Item]]:
    """What these windows collected, oldest first. Whoever came from an earlier digest brings all that it held."""
    rows = connection.execute(_items(environment, sorted(set(ids)))).all()
    earlier = {row.brought for row in rows if row.brought is not None}
    within = contents(connection, environment, earlier) if earlier else {}
    found: dict[str, list[Item]] = {}
    for row in rows:
        found.setdefault(row.window, []).extend(within.get(row.brought, [_item(row)]))
    if within:
        for items in found.values():
            items.sort(key=lambda item: item.time)
    return found


def _items(environment: str, ids: Sequence[str]) -> sa.Select[Any]:
    columns = (_I.window, _I.brought, _I.withdrawn_at, _I.reason, _E.uid, _E.kind, _E.name, _E.ts, _E.data)
    return (
        sa.select(*columns)
        .join(events, sa.and_(_E.environment == _I.environment, _E.uid == _I.event))
        .where(_I.environment == environment, among(_I.window, ids))
        .order_by(_E.ts, _E.received_at, _E.uid)
    )


def _item(row: Any) -> Item:
    """An event says its own data; a trigger its payload."""
    payload = row.data.get("payload", {}) if row.kind == "trigger" else row.data
    withdrawn = None if row.withdrawn_at is None else row.reason or "cancelled"
    return Item(row.uid, row.name, row.ts, payload, withdrawn)


def leave_out(connection: sa.Connection, environment: str, rows: Sequence[Row]) -> None:
    """Note why events are told nobody although their digest collected them: rows of `notification`, `event`, `reason`.

    `notification` is the one that carries the digest.
    """
    if rows:
        out = given(connection, window_items, rows, "notification", "event", "reason").c
        mine = window_items.alias("mine").c
        held = sa.select(mine.window).where(mine.environment == environment, mine.notification == out.notification)
        chosen = sa.and_(_I.environment == environment, _I.event == out.event, _I.window.in_(held))
        connection.execute(window_items.update().where(chosen).values(reason=out.reason))
