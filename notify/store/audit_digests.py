"""Audit of digests: what a window collected is told once, by the one notification that carries it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from notify.model import NotificationStatus
from notify.store.audit_check import Check, Query
from notify.store.tables import notifications, window_items, windows
from notify.store.windows import CLOSED, OPEN

_N, _W, _I = notifications.c, windows.c, window_items.c
_CARRIER = notifications.alias("carrier")
_WHY = "See what led to it: `notify why {notification}`."
_SEE = "See who was told: `notify log --workflow {workflow} --person {subscriber}`."


def checks(environment: str) -> Iterator[Check]:
    """Merged notifications without a digest, digests without a carrier, and items that do not add up."""
    yield Check(
        "merged_into_nothing",
        _merged_into_nothing(environment),
        "notification {notification} was merged into digest {window}, which is not closed with another as its carrier",
        _WHY,
    )
    yield Check(
        "member_without_item",
        _member_without_item(environment),
        "notification {notification} belongs to digest {window}, but its event is not among the items",
        _WHY,
    )
    yield Check(
        "window_without_carrier",
        _window_without_carrier(environment),
        "digest {window} of {workflow} for {subscriber} is closed, but no notification carries it",
        "Emit its events again under new ids.",
    )
    yield Check(
        "items_do_not_add_up",
        _items_do_not_add_up(environment),
        "digest {window} of {workflow} for {subscriber} closed with {items} items, "
        "but holds {held} and has {members} members",
        _SEE,
    )
    yield Check(
        "item_lost",
        _item_lost(environment),
        "event {event} of notification {notification} was collected by digest {window}, which will never tell it",
        "Emit the event again under a new id.",
    )
    yield Check(
        "item_withdrawn_from_the_living",
        _withdrawn_from_the_living(environment),
        "event {event} was withdrawn from digest {window}, but notification {notification} was not cancelled",
        _WHY,
    )


def collected(items: Any, carrier: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Whether an item counts for its closed window. A carrier cancelled later, in a digest further on, did carry it."""
    return sa.or_(items.withdrawn_at.is_(None), items.notification == carrier)


def _merged_into_nothing(environment: str) -> Query:
    carried = (
        sa.exists()
        .where(_W.environment == environment, _W.id == _N.window, _W.state == CLOSED, _W.carrier != _N.id)
        .where(_CARRIER.c.environment == environment, _CARRIER.c.id == _W.carrier)
    )
    return sa.select(_N.id.label("notification"), _N.window).where(
        _N.environment == environment, _N.status == NotificationStatus.MERGED, sa.not_(carried)
    )


def _member_without_item(environment: str) -> Query:
    merged = sa.select(_N.id.label("notification"), _N.window).where(
        _N.environment == environment, _N.status == NotificationStatus.MERGED, _N.window.is_not(None)
    )
    carrying = sa.select(_W.carrier, _W.id).where(
        _W.environment == environment, _W.state == CLOSED, _W.carrier.is_not(None)
    )
    members = merged.union_all(carrying).subquery("members")
    has_item = sa.exists().where(
        _I.environment == environment,
        _I.notification == members.c.notification,
        _I.window == members.c.window,
    )
    return sa.select(members).where(sa.not_(has_item))


def _window_without_carrier(environment: str) -> Query:
    carrier = sa.exists().where(_N.environment == environment, _N.id == _W.carrier)
    return sa.select(_W.id.label("window"), _W.workflow, _W.subscriber).where(
        _W.environment == environment, _W.state == CLOSED, sa.not_(carrier)
    )


def _items_do_not_add_up(environment: str) -> Query:
    """Counted from both sides: the items the window holds, and the carrier with those merged into it."""
    held, merged = _held(environment), _merged(environment)
    counted = (
        sa.select(
            _W.id.label("window"),
            _W.workflow,
            _W.subscriber,
            sa.func.coalesce(_W["items"], 0).label("items"),
            sa.func.coalesce(held.c.number, 0).label("held"),
            (sa.func.coalesce(merged.c.number, 0) + 1).label("members"),
        )
        .outerjoin_from(windows, held, held.c.window == _W.id)
        .outerjoin(merged, merged.c.window == _W.id)
        .where(_W.environment == environment, _W.state == CLOSED)
        .subquery()
    )
    differ = sa.or_(counted.c["items"] != counted.c.held, counted.c["items"] != counted.c.members)
    return sa.select(counted).where(differ)


def _held(environment: str) -> sa.Subquery:
    own = sa.and_(_W.environment == _I.environment, _W.id == _I.window)
    return (
        sa.select(_I.window, sa.func.count().label("number"))
        .join_from(window_items, windows, own)
        .where(_I.environment == environment, collected(_I, _W.carrier))
        .group_by(_I.window)
        .subquery("held")
    )


def _merged(environment: str) -> sa.Subquery:
    return (
        sa.select(_N.window, sa.func.count().label("number"))
        .where(_N.environment == environment, _N.status == NotificationStatus.MERGED)
        .group_by(_N.window)
        .subquery("merged")
    )


def _item_lost(environment: str) -> Query:
    """In an open window it will be told, in a closed one it was; in an empty or missing one it never is."""
    told = sa.exists().where(_W.environment == environment, _W.id == _I.window, _W.state.in_([OPEN, CLOSED]))
    return sa.select(_I.event, _I.notification, _I.window).where(
        _I.environment == environment, _I.withdrawn_at.is_(None), sa.not_(told)
    )


def _withdrawn_from_the_living(environment: str) -> Query:
    alive = sa.exists().where(
        _N.environment == environment, _N.id == _I.notification, _N.status != NotificationStatus.CANCELLED
    )
    return sa.select(_I.event, _I.notification, _I.window).where(
        _I.environment == environment, _I.withdrawn_at.is_not(None), alive
    )
