"""Everything that was told and everything that was not, row by row: for the test kit, whose worlds are small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from notify.model import StepState
from notify.store.tables import awaited, events, messages, notifications, omissions, steps, subscribers, windows
from notify.store.types import place
from notify.store.windows import OPEN


@dataclass(frozen=True, slots=True)
class Everything:
    """The rows of each table, in the order in which they were written (on SQLite, where rows keep their place)."""

    messages: Sequence[Any]
    notifications: Sequence[Any]
    events: Sequence[Any]
    #: Events that led to nobody.
    omissions: Sequence[Any]
    #: Digests that collect.
    windows: Sequence[Any]
    #: Steps that somebody waits in, or that are to be tried again.
    delayed: Sequence[Any]
    #: Everybody's zone, by id.
    zones: dict[str, str | None]


def everything(connection: sa.Connection, environment: str) -> Everything:
    """All there is in one environment."""

    def rows(table: sa.Table, *conditions: sa.ColumnElement[bool]) -> Sequence[Any]:
        mine = sa.select(table).where(table.c.environment == environment, *conditions)
        return connection.execute(mine.order_by(place())).all()

    waits = steps.c.state.in_([StepState.DELAYED, StepState.PENDING])
    return Everything(
        messages=rows(messages),
        notifications=rows(notifications),
        events=rows(events),
        omissions=rows(omissions),
        windows=rows(windows, windows.c.state == OPEN),
        delayed=rows(steps, waits),
        zones={row.id: row.timezone for row in rows(subscribers)},
    )


def unaddressed(connection: sa.Connection, environment: str) -> dict[str, str | None]:
    """Who has no address at all, and their zones."""
    c = subscribers.c
    bare = sa.and_(c.environment == environment, c.email.is_(None), c.phone.is_(None))
    rows = connection.execute(sa.select(c.id, c.channels, c.timezone).where(bare).order_by(c.id))
    return {row.id: row.timezone for row in rows if not row.channels}


def awaited_names(connection: sa.Connection, environment: str) -> set[str]:
    """The names of the events that somebody waits for."""
    query = sa.select(awaited.c.name).where(awaited.c.environment == environment).distinct()
    return set(connection.execute(query).scalars())
