"""Three ledgers against each other: what the store said it took, what it decided, and what the outside received."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from notify.store.database import Database
from notify.store.tables import attempts, events, messages, notifications, outbox, window_items, windows
from tests.faults.application import Ledger

_N, _M, _A, _E, _I, _W = (table.c for table in (notifications, messages, attempts, events, window_items, windows))
_LIVE = ("ready", "running", "waiting")
#: The channels a completed notification of each workflow has a message on.
CHANNELS = {
    "told": {"in_app", "email"},
    "reminded": {"email"},
    "gathered": {"in_app", "email"},
    "fetched": {"email"},
    "code": {"email"},
}


@dataclass
class Comparison:
    """What was found: sentences of what is lost, doubled or sent again without a reason, and the sums."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    second_sends: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    sums: dict[str, int] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """True when nothing is lost, doubled or unexplained."""
        return not (self.lost or self.doubled or self.unexplained)


def busy(database: Database) -> int:
    """How much is still under way."""
    queries = [
        sa.select(sa.func.count()).select_from(outbox),
        sa.select(sa.func.count()).select_from(events).where(_E.matched_at.is_(None), _E.verdict == "accepted"),
        sa.select(sa.func.count()).select_from(notifications).where(_N.status.in_(_LIVE)),
        sa.select(sa.func.count()).select_from(messages).where(_M.status == "queued"),
    ]
    with database.read() as connection:
        return sum(connection.execute(query).scalar_one() for query in queries)


def compare(database: Database, ledgers: Iterable[Ledger], accepted: Sequence[str]) -> Comparison:
    """Compare everything; nothing may be under way any more."""
    found = Comparison()
    ledgers = list(ledgers)
    with database.read() as connection:
        rows = _Rows(connection)
    asked = {id_ for ledger in ledgers for id_ in ledger.asked}
    _decided(found, rows, [one for ledger in ledgers for one in ledger.taken if one[1] not in rows.called_off & asked])
    _called_off(found, rows, [id_ for ledger in ledgers for id_ in ledger.cancelled])
    _told(found, rows)
    _gathered(found, rows)
    _received(found, rows, Counter(accepted))
    found.sums = {
        "notifications": sum(len(some) for some in rows.notifications.values()),
        "messages": len(rows.messages),
        "attempts": rows.attempts,
        "accepted outside": len(accepted),
    }
    return found


class _Rows:
    """What the store has, by the ids an application knows."""

    def __init__(self, connection: sa.Connection) -> None:
        given = sa.select(_N.id, _N.workflow, _N.subscriber, _N.status, _N.reason, _E.id.label("given"), _N.event)
        query = given.join(events, _E.uid == _N.event)
        self.notifications: dict[tuple[str, str, str], list[Any]] = {}
        for row in connection.execute(query):
            self.notifications.setdefault((row.workflow, row.given, row.subscriber), []).append(row)
        early = sa.select(_E.id).where(_E.verdict == "cancelled")
        #: What was called off before it became a notification.
        self.called_off = set(connection.execute(early).scalars())
        self.messages = list(connection.execute(sa.select(_M.id, _M.notification, _M.channel, _M.status)))
        unknown = sa.select(_A.message).where(_A.outcome == "unknown")
        self.unknown = Counter(connection.execute(unknown).scalars())
        self.attempts = connection.execute(sa.select(sa.func.count()).select_from(attempts)).scalar_one()
        items = sa.select(_I.event, _W.state).join(windows, _W.id == _I.window).where(_I.withdrawn_at.is_(None))
        self.items = list(connection.execute(items))

    @property
    def all(self) -> Iterable[Any]:
        return (row for rows in self.notifications.values() for row in rows)


def _decided(found: Comparison, rows: _Rows, taken: Sequence[tuple[str, str, str]]) -> None:
    """Each thing that was taken became one notification, which has ended."""
    for one in taken:
        decided = rows.notifications.get(one, [])
        if not decided:
            found.lost.append(f"{one} has no notification")
        if len(decided) > 1:
            found.doubled.append(f"{one} has {len(decided)} notifications")
        found.lost += [f"{one} is {row.status} ({row.reason})" for row in decided if row.status in (*_LIVE, "failed")]
    known = set(taken)
    found.doubled += [f"{one} was never asked for" for one in rows.notifications if one not in known]


def _called_off(found: Comparison, rows: _Rows, cancelled: Sequence[str]) -> None:
    status = {row.given: row.status for row in rows.all} | dict.fromkeys(rows.called_off, "cancelled")
    found.lost += [f"{id_} was called off and is {status[id_]}" for id_ in cancelled if status[id_] != "cancelled"]


def _told(found: Comparison, rows: _Rows) -> None:
    """A completed notification has one message on each of its channels, the others have none that goes anywhere."""
    decided = Counter((row.notification, row.channel) for row in rows.messages)
    found.doubled += [f"{place} has {count} messages" for place, count in decided.items() if count > 1]
    channels: dict[str, set[str]] = {}
    for message in rows.messages:
        if message.status != "cancelled":
            channels.setdefault(message.notification, set()).add(message.channel)
    for row in rows.all:
        due = CHANNELS[row.workflow] if row.status == "completed" else set[str]()
        there = channels.get(row.id, set())
        if row.status == "completed":
            found.lost += [f"{row.given} has no {channel}" for channel in due - there]
        elif there:
            found.doubled.append(f"{row.given} is {row.status} and has {sorted(there)}")


def _gathered(found: Comparison, rows: _Rows) -> None:
    """Each event of a digest is an item of one closed window."""
    items = Counter(row.event for row in rows.items if row.state == "closed")
    for row in rows.all:
        if row.workflow == "gathered" and items[row.event] != 1:
            found.lost.append(f"{row.given} is in {items[row.event]} closed windows")


def _received(found: Comparison, rows: _Rows, accepted: Counter[str]) -> None:
    """What counts as sent was received once, and once more only for each call whose answer was lost."""
    found.unknown = rows.unknown
    cancelled = {row.id for row in rows.all if row.status == "cancelled"}
    recalled = {row.id for row in rows.messages if row.status == "cancelled" and row.notification in cancelled}
    emails = {row.id: row.status for row in rows.messages if row.channel == "email" and row.id not in recalled}
    found.doubled += [f"message {id_} was sent and never decided" for id_ in accepted if id_ not in emails]
    for id_, status in emails.items():
        if status not in ("sent", "unknown"):
            found.lost.append(f"message {id_} is {status}")
        if status == "sent" and not accepted[id_]:
            found.lost.append(f"message {id_} counts as sent, and nobody received it")
        found.second_sends += max(accepted[id_] - 1, 0)
        if accepted[id_] > rows.unknown[id_] + (status == "sent"):
            found.unexplained.append(f"message {id_} was received {accepted[id_]} times")
