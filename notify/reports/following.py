"""Following the log: what is new since the last look, again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Unpack

from notify.store import log
from notify.store.database import Database

#: A transaction may commit after another that began later: what is this recent is looked at again.
OVERLAP = timedelta(seconds=30)
_PAGE = 500


def follow(
    database: Database,
    environment: str,
    *,
    start: datetime,
    wait: Callable[[], bool],
    **filters: Unpack[log.Filters],
) -> Iterator[Any]:
    """Rows of the log created since `start`, the oldest first, each once, for as long as `wait()` answers True.

    `wait` is called between two looks; it is what makes time pass.
    """
    seen: dict[str, datetime] = {}
    horizon = start
    while True:
        fresh = [row for row in _since(database, environment, horizon, filters) if row.id not in seen]
        yield from fresh
        seen |= {row.id: row.created_at for row in fresh}
        horizon = max([start, *(created - OVERLAP for created in seen.values())])
        seen = {id_: created for id_, created in seen.items() if created >= horizon}
        if not wait():
            return


def _since(database: Database, environment: str, horizon: datetime, filters: log.Filters) -> list[Any]:
    """Everything since then, the oldest first; the log is read newest first, a page at a time."""
    rows: list[Any] = []
    narrowed = log.Filters(**(filters | {"since": horizon}))
    with database.read() as connection:
        while True:
            after = (rows[-1].created_at, rows[-1].id) if rows else None
            page = log.rows(connection, environment, after=after, limit=_PAGE, **narrowed)
            rows += page
            if len(page) < _PAGE:
                return rows[::-1]
