"""Workflows of which only so many notifications may run at once, each with its `run_key` or all of them together.

A slot is no row: as many are taken as notifications are running, so whoever ends, waits or loses its lease gives one
back.
"""

from __future__ import annotations

from typing import Any, Protocol

import sqlalchemy as sa

from notify.model import NotificationStatus
from notify.store.tables import notifications
from notify.store.types import chosen_once, place

_READY, _RUNNING = notifications.alias("at_the_door"), notifications.alias("inside")


class Limited(Protocol):
    """So many at once: of each value of a key, or of the workflow where there is no key."""

    @property
    def limit(self) -> int: ...
    @property
    def key(self) -> str | None: ...


def with_room(
    connection: sa.Connection,
    environment: str,
    workflow: str,
    limited: Limited,
    chosen: sa.Select[Any],
    most: int,
    event: str | None,
) -> sa.Select[Any]:
    """Of (up to `most`) chosen notifications those for which there are slots; nobody else takes one meanwhile.

    Where an `event` is named only its notifications are chosen, and they are in order among themselves.
    """
    if connection.dialect.name == "postgresql":
        name = sa.literal(f"{environment}/{workflow}", sa.Text)
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(name, 0))))
    if limited.key:
        return chosen.where(_first_of_each(environment, workflow, limited.limit, event))
    taken = connection.execute(_taken(environment, workflow)).scalar_one()
    return chosen.limit(max(0, min(most, limited.limit - taken)))


def _first_of_each(environment: str, workflow: str, limit: int, event: str | None) -> chosen_once:
    """Of each key as many as there are slots; of those without a key, all."""
    r = _READY.c
    turn = sa.func.row_number().over(partition_by=r.run_key, order_by=(r.priority.desc(), r.ts, r.id))
    ready = sa.select(place().label("place"), r.run_key, turn.label("turn")).where(_is_ready(environment, workflow))
    if event is not None:
        ready = ready.where(r.event == event)
    ranked = ready.where(_has_room(environment, workflow, limit)).subquery("ranked")
    taken = _by_key(environment, workflow).subquery("taken")
    room = ranked.c.turn <= limit - sa.func.coalesce(taken.c.count, 0)
    found = sa.select(ranked).outerjoin(taken, taken.c.run_key == ranked.c.run_key)
    return chosen_once(found.where(sa.or_(ranked.c.run_key.is_(None), room)), ranked.c.place)


def _is_ready(environment: Any, workflow: str) -> sa.ColumnElement[bool]:
    r = _READY.c
    return sa.and_(r.environment == environment, r.workflow == workflow, r.status == NotificationStatus.READY)


def _is_running(environment: Any, workflow: str) -> sa.ColumnElement[bool]:
    r = _RUNNING.c
    running = r.status == NotificationStatus.RUNNING
    return sa.and_(r.environment == environment, r.workflow == workflow, running, r.run_key.is_not(None))


def _taken(environment: Any, workflow: str) -> sa.Select[Any]:
    return sa.select(sa.func.count(_RUNNING.c.id)).where(_is_running(environment, workflow))


def _by_key(environment: Any, workflow: str) -> sa.Select[Any]:
    """How many run of each key."""
    r = _RUNNING.c
    return (
        sa.select(r.run_key, sa.func.count().label("count"))
        .where(_is_running(environment, workflow))
        .group_by(r.run_key)
    )


def _has_room(environment: Any, workflow: str, limit: int) -> sa.ColumnElement[bool]:
    """Whether a ready notification has no key, or one that is not full."""
    full = _by_key(environment, workflow).with_only_columns(_RUNNING.c.run_key).having(sa.func.count() >= limit)
    return sa.or_(_READY.c.run_key.is_(None), _READY.c.run_key.not_in(full))


def has_room(environment: Any, workflow: str, limited: Limited) -> sa.ColumnElement[bool]:
    """Whether one of a workflow's ready notifications has a slot."""
    ready = sa.select(sa.literal(1)).select_from(_READY).where(_is_ready(environment, workflow))
    if limited.key:
        return ready.where(_has_room(environment, workflow, limited.limit)).exists()
    return sa.and_(ready.exists(), _taken(environment, workflow).scalar_subquery() < limited.limit)
