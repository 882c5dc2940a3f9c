"""The proof that nothing was lost and nothing decided twice: each check is one statement over the whole store.

A violation breaks a promise. A listing is what an operator should know and may be in order: a message that may have
been sent twice because an answer was lost, a call that nobody has answered yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from notify.model import EventKind, MessageStatus, Verdict
from notify.store import audit_delivery, audit_digests, audit_events
from notify.store.audit_check import Check, Query
from notify.store.tables import attempts, events, messages, notifications, omissions, window_items, windows
from notify.store.windows import CLOSED

_E, _W, _I = events.c, windows.c, window_items.c


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found: `ids` name the rows, `sentence` says what is wrong, `remedy` what to do about it."""

    kind: str
    ids: Mapping[str, Any]
    sentence: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found. `counts` has how much was looked at, and how many findings of each kind there are in all."""

    violations: Sequence[Finding] = ()
    listings: Sequence[Finding] = ()
    counts: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def clean(self) -> bool:
        """True when no promise is broken."""
        return not self.violations


def audit(
    connection: sa.Connection,
    environment: str,
    listeners: Mapping[str, Sequence[str]],
    *,
    now: datetime,
    limit: int = 1000,
) -> Audit:
    """Check one environment; at most `limit` findings of a kind are returned, all of them counted.

    `listeners` names the workflows each event name starts. An event matched before a workflow's first notification or
    omission says nothing about that workflow, which may not have existed: such pairs are counted as `not_judged`.
    """
    violations: list[Finding] = []
    listings: list[Finding] = []
    counts = _counts(connection, environment, listeners)
    checks = [
        *audit_events.checks(environment, listeners, now),
        *audit_digests.checks(environment),
        *audit_delivery.checks(environment, now),
    ]
    for check in checks:
        found = _run(connection, check, limit)
        counts[check.kind] = found[0].total if found else 0
        (violations if check.breaks else listings).extend(_finding(check, row) for row in found)
    return Audit(violations, listings, counts)


def _run(connection: sa.Connection, check: Check, limit: int) -> Sequence[Any]:
    found = check.query.subquery()
    query = sa.select(found, sa.func.count().over().label("total")).order_by(*list(found.c)[:2]).limit(limit)
    return connection.execute(query).all()


def _finding(check: Check, row: Any) -> Finding:
    ids = {str(name): value for name, value in row._mapping.items() if name != "total"}
    return Finding(check.kind, ids, check.sentence.format(**ids), check.remedy.format(**ids))


def _counts(connection: sa.Connection, environment: str, listeners: Mapping[str, Sequence[str]]) -> dict[str, int]:
    accepted = _E.verdict == Verdict.ACCEPTED
    closed = _closed(environment)
    counted: dict[str, Query] = {
        "events": _rows(events, environment, accepted, _E.kind == EventKind.EVENT),
        "triggers": _rows(events, environment, accepted, _E.kind == EventKind.TRIGGER),
        "notifications": _rows(notifications, environment),
        "omissions": _rows(omissions, environment),
        "messages": _rows(messages, environment),
        "messages_unknown": _rows(messages, environment, messages.c.status == MessageStatus.UNKNOWN),
        "attempts": _rows(attempts, environment),
        "windows_closed": _rows(windows, environment, _W.state == CLOSED),
        "digest_items": sa.select(sa.func.coalesce(sa.func.sum(_W["items"]), 0)).where(
            _W.environment == environment, _W.state == CLOSED
        ),
        "digest_members": sa.select(sa.func.count()).select_from(closed),
        "digest_withdrawn": sa.select(sa.func.count())
        .select_from(closed)
        .where(sa.not_(audit_digests.collected(_I, _W.carrier))),
    }
    if any(listeners.values()):
        unjudged = audit_events.undecided(environment, listeners, judged=False).subquery()
        counted["not_judged"] = sa.select(sa.func.count()).select_from(unjudged)
    return {name: connection.execute(query).scalar_one() for name, query in counted.items()}


def _rows(table: sa.Table, environment: str, *conditions: sa.ColumnElement[bool]) -> Query:
    return sa.select(sa.func.count()).select_from(table).where(table.c.environment == environment, *conditions)


def _closed(environment: str) -> sa.Join:
    own = sa.and_(_W.environment == environment, _I.environment == environment, _W.id == _I.window, _W.state == CLOSED)
    return window_items.join(windows, own)
