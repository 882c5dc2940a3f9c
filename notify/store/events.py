"""Events and triggers: taken in once, kept for good, matched later."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from notify.model import Event, EventKind, Receipt, Verdict, is_id
from notify.store.database import Row, insert, insert_new
from notify.store.tables import dedupe, events, omissions, outbox
from notify.store.types import among

#: An id seen again within this time of its first reception starts no work (Inngest's event contract).
DEDUPE_WINDOW = timedelta(hours=24)
_ENVELOPE = ("uid", "kind", "name", "id", "ts", "received_at", "data", "v", "user", "subject")


def accept(connection: sa.Connection, environment: str, batch: Sequence[Event]) -> list[Receipt]:
    """Store the batch with a verdict for each, in order. A duplicate's receipt carries the first one's uid."""
    first = _first_of_each(batch)
    fresh = _claim_ids(connection, environment, list(first.values()))
    earlier = _earlier(connection, environment, [key for key in first if first[key].uid not in fresh])
    receipts: list[Receipt] = []
    rows: list[Row] = []
    for event in batch:
        key = _dedupe_key(event)
        owner = event.uid if key is None else earlier.get(key) or first[key].uid
        duplicate = key is not None and (owner != event.uid or first[key] is not event or key in earlier)
        if not duplicate:
            rows.append(_row(environment, event) | {"verdict": Verdict.ACCEPTED})
        receipts.append(_receipt(event, owner, Verdict.DUPLICATE if duplicate else Verdict.ACCEPTED))
    insert_new(connection, events, rows)
    return receipts


def _dedupe_key(event: Event) -> tuple[str, str] | None:
    """Names of triggers and of events share the key without meeting: a workflow and an event may have one name."""
    if event.id is None:
        return None
    return (f"trigger:{event.name}" if event.kind is EventKind.TRIGGER else event.name, event.id)


def _first_of_each(batch: Sequence[Event]) -> dict[tuple[str, str], Event]:
    first: dict[tuple[str, str], Event] = {}
    for event in batch:
        key = _dedupe_key(event)
        if key is not None:
            first.setdefault(key, event)
    return first


def _claim_ids(connection: sa.Connection, environment: str, batch: Sequence[Event]) -> set[str]:
    """The uids whose (name, id) was free, or first seen longer ago than the window."""
    if not batch:
        return set()
    statement = insert(connection, dedupe)
    statement = statement.on_conflict_do_update(
        index_elements=["environment", "name", "id"],
        set_={"first_seen": statement.excluded.first_seen, "uid": statement.excluded.uid},
        where=dedupe.c.first_seen <= sa.bindparam("horizon", type_=dedupe.c.first_seen.type),
    ).returning(dedupe.c.uid)
    horizon = min(event.received_at for event in batch) - DEDUPE_WINDOW
    return set(
        connection.execute(
            statement, [row | {"horizon": horizon} for row in _dedupe_rows(environment, batch)]
        ).scalars()
    )


def _dedupe_rows(environment: str, batch: Sequence[Event]) -> list[Row]:
    # Sorted, so that two batches never wait for each other.
    keyed = [(key, event) for event in batch if (key := _dedupe_key(event)) is not None]
    return [
        {"environment": environment, "name": name, "id": id_, "first_seen": event.received_at, "uid": event.uid}
        for (name, id_), event in sorted(keyed, key=lambda pair: pair[0])
    ]


def _earlier(
    connection: sa.Connection, environment: str, keys: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], str]:
    if not keys:
        return {}
    query = sa.select(dedupe.c.name, dedupe.c.id, dedupe.c.uid).where(
        dedupe.c.environment == environment,
        among(dedupe.c.name, {name for name, _ in keys}),
        among(dedupe.c.id, [id_ for _, id_ in keys]),
    )
    wanted = set(keys)
    return {(name, id_): uid for name, id_, uid in connection.execute(query) if (name, id_) in wanted}


def _receipt(event: Event, uid: str, verdict: Verdict | None) -> Receipt:
    transaction = event.transaction_id if event.kind is EventKind.TRIGGER else uid
    return Receipt(uid=uid, name=event.name, id=event.id, verdict=verdict, transaction_id=transaction)


def _row(environment: str, event: Event) -> Row:
    return {"environment": environment} | {name: getattr(event, name) for name in _ENVELOPE}


def put_in_outbox(connection: sa.Connection, environment: str, batch: Sequence[Event]) -> list[Receipt]:
    """Write the batch in the caller's transaction. The verdict comes when it is taken in, so receipts have none."""
    if batch:
        connection.execute(outbox.insert(), [_row(environment, event) for event in batch])
    return [_receipt(event, event.uid, None) for event in batch]


def take_in(connection: sa.Connection, environment: str, limit: int) -> int:
    """Move up to `limit` committed outbox rows to the event store, each with its verdict; returns how many."""
    page = (
        sa.select(outbox)
        .where(outbox.c.environment == environment)
        .order_by(outbox.c.seq)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = connection.execute(page).all()
    accept(connection, environment, [_event(row) for row in rows])
    if rows:
        connection.execute(outbox.delete().where(among(outbox.c.seq, [row.seq for row in rows])))
    return len(rows)


def _event(row: Any) -> Event:
    values: dict[str, Any] = {name: getattr(row, name) for name in _ENVELOPE}
    values["kind"] = EventKind(row.kind)
    return Event(**values)


def unmatched(connection: sa.Connection, environment: str, now: datetime, limit: int) -> list[Event]:
    """The oldest accepted events that are due and not matched yet, in (`ts`, reception) order."""
    query = (
        sa.select(events)
        .where(events.c.environment == environment, events.c.matched_at.is_(None), events.c.ts <= now)
        .order_by(events.c.ts, events.c.received_at, events.c.uid)
        .limit(limit)
    )
    return [_event(row) for row in connection.execute(query)]


def is_unmatched(connection: sa.Connection, environment: str, uid: str) -> bool:
    """Whether this event is stored and not matched yet."""
    query = sa.exists().where(events.c.environment == environment, events.c.uid == uid, events.c.matched_at.is_(None))
    return bool(connection.execute(sa.select(query)).scalar())


def mark_matched(connection: sa.Connection, environment: str, uids: Sequence[str], now: datetime) -> None:
    """These events became notifications or omissions."""
    connection.execute(
        events.update()
        .where(events.c.environment == environment, among(events.c.uid, uids), events.c.matched_at.is_(None))
        .values(matched_at=now)
    )


def omit(connection: sa.Connection, environment: str, rows: Sequence[Row]) -> None:
    """Record why these events (`event`, `workflow`, `reason`, `detail`, `created_at`) led to nobody."""
    insert_new(connection, omissions, [{"environment": environment, **row} for row in rows])


def pending(connection: sa.Connection, environment: str, now: datetime) -> bool:
    """Whether anything waits to be taken in or matched now."""
    in_outbox = sa.exists().where(outbox.c.environment == environment)
    due = sa.exists().where(events.c.environment == environment, events.c.matched_at.is_(None), events.c.ts <= now)
    return bool(connection.execute(sa.select(sa.or_(in_outbox, due))).scalar())


def watermark(connection: sa.Connection, environment: str, now: datetime) -> datetime:
    """Every stored event with an earlier `ts` has been matched."""
    stored = sa.select(sa.func.min(events.c.ts)).where(
        events.c.environment == environment, events.c.matched_at.is_(None)
    )
    waiting = sa.select(sa.func.min(outbox.c.ts)).where(outbox.c.environment == environment)
    return min([now, *(ts for query in (stored, waiting) if (ts := connection.execute(query).scalar()) is not None)])


def next_due(connection: sa.Connection, environment: str, now: datetime) -> datetime | None:
    """The `ts` of the next event that waits for its time."""
    query = sa.select(sa.func.min(events.c.ts)).where(
        events.c.environment == environment, events.c.matched_at.is_(None), events.c.ts > now
    )
    return connection.execute(query).scalar()


def held(connection: sa.Connection, environment: str, now: datetime, limit: int = 100) -> list[Event]:
    """Events that wait for their time, the next one first."""
    query = (
        sa.select(events)
        .where(events.c.environment == environment, events.c.matched_at.is_(None), events.c.ts > now)
        .order_by(events.c.ts)
        .limit(limit)
    )
    return [_event(row) for row in connection.execute(query)]


def cancel(connection: sa.Connection, environment: str, transaction_id: str, now: datetime) -> int:
    """Withdraw events and triggers that wait for their time; returns how many."""
    mine = sa.and_(events.c.kind == EventKind.TRIGGER, events.c.id == transaction_id)
    if is_id(transaction_id):
        mine = sa.or_(mine, events.c.uid == transaction_id)
    result = connection.execute(
        events.update()
        .where(events.c.environment == environment, events.c.matched_at.is_(None), mine)
        .values(matched_at=now, verdict=Verdict.CANCELLED)
    )
    return result.rowcount


def load(connection: sa.Connection, environment: str, uids: Sequence[str]) -> dict[str, Event]:
    """These events, by uid."""
    query = sa.select(events).where(events.c.environment == environment, among(events.c.uid, set(uids)))
    return {row.uid: _event(row) for row in connection.execute(query)}


def about(
    connection: sa.Connection, environment: str, names: Sequence[str], subjects: Sequence[str]
) -> dict[str, list[Event]]:
    """What is known of each subject from events of these names, oldest first."""
    query = (
        sa.select(events)
        .where(
            events.c.environment == environment,
            among(events.c.subject, set(subjects)),
            events.c.name.in_(list(names)),
            events.c.verdict == Verdict.ACCEPTED,
        )
        .order_by(events.c.ts, events.c.received_at, events.c.uid)
    )
    found: dict[str, list[Event]] = {subject: [] for subject in subjects}
    for row in connection.execute(query):
        found[row.subject].append(_event(row))
    return found
