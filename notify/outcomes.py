"""What became of one trigger or event, per person and channel."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from notify.model import is_id
from notify.store.tables import events, messages, notifications, omissions

_E, _N, _M, _O = events.c, notifications.c, messages.c, omissions.c


@dataclass(frozen=True, slots=True)
class Line:
    """One person, workflow and channel; `channel` is None where nothing was decided for a channel."""

    workflow: str
    subscriber: str | None
    channel: str | None
    status: str
    reason: str | None
    wake_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Everything known about one trigger or event."""

    known: bool
    #: Nothing more will happen before something else does (a wait ends, a retry is due, a digest closes).
    settled: bool
    lines: list[Line]

    def as_json(self) -> list[dict[str, Any]]:
        """The lines, ready for JSON."""
        return [{name: getattr(line, name) for name in Line.__slots__} for line in self.lines]


def outcomes(connection: sa.Connection, environment: str, transaction_id: str) -> Outcomes:
    """Look it up by transaction id, or by an event's uid."""
    found = connection.execute(_event(environment, transaction_id)).all()
    if not found:
        return Outcomes(known=False, settled=False, lines=[])
    uids = [row.uid for row in found]
    told = connection.execute(_told(environment, uids)).all()
    nobody = connection.execute(
        sa.select(_O.workflow, _O.reason).where(_O.environment == environment, _O.event.in_(uids))
    ).all()
    lines = [_line(row) for row in told]
    lines += [Line(row.workflow, None, None, "nobody", row.reason) for row in nobody]
    settled = all(row.matched_at is not None for row in found) and not any(_busy(row) for row in told)
    return Outcomes(known=True, settled=settled, lines=lines)


def _event(environment: str, transaction_id: str) -> sa.Select[Any]:
    mine = sa.and_(_E.kind == "trigger", _E.id == transaction_id)
    if is_id(transaction_id):
        mine = sa.or_(mine, _E.uid == transaction_id)
    return sa.select(_E.uid, _E.matched_at).where(_E.environment == environment, mine)


def _told(environment: str, uids: list[str]) -> sa.Select[Any]:
    mine = sa.and_(_M.environment == _N.environment, _M.notification == _N.id)
    return (
        sa.select(
            _N.workflow,
            _N.subscriber,
            _N.status.label("notification"),
            _N.reason.label("why"),
            _N.wake_at,
            _M.channel,
            _M.status,
            _M.reason,
            _M.attempts,
        )
        .select_from(notifications.outerjoin(messages, mine))
        .where(_N.environment == environment, _N.event.in_(uids))
        .order_by(_N.workflow, _N.subscriber, _M.channel)
    )


def _line(row: Any) -> Line:
    if row.channel is None:
        return Line(row.workflow, row.subscriber, None, row.notification, row.why, row.wake_at)
    return Line(row.workflow, row.subscriber, row.channel, row.status, row.reason, row.wake_at)


def _busy(row: Any) -> bool:
    if row.notification in ("ready", "running"):
        return True
    return row.status == "queued" and row.attempts == 0
