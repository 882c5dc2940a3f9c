"""Events and triggers: taken in once, kept for good, matched later."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from notify.model import Event, EventKind, Receipt, Verdict, is_id
from notify.store.bulk import Row, insert_new, insert_returning, packed, statement_returning, upsert
from notify.store.database import Database
from notify.store.tables import dedupe, events, omissions, outbox
from notify.store.types import among
from notify.store.values import may_have

#: An id seen again within this time of its first reception starts no work (Inngest's event contract).
DEDUPE_WINDOW = timedelta(hours=24)
#: Events in memory at once where all that ever came may have to be looked at.
PAGE = 500
_ENVELOPE = tuple(one.name for one in fields(Event))
#: Read in the order of an Event's fields: taking a thousand apart by name was a twentieth of a batch.
_STORED = [events.c[name] for name in _ENVELOPE]


def accept(connection: sa.Connection, environment: str, batch: Sequence[Event]) -> list[Receipt]:
    """Store the batch with a verdict for each, in order. A duplicate's receipt carries the first one's uid."""
    owners = _owners(connection, environment, batch)
    rows = _new(environment, [event for event in batch if event.uid not in owners])
    return _verdicts(batch, owners, insert_returning(connection, events, rows, events.c.uid))


def accept_alone(database: Database, environment: str, batch: Sequence[Event]) -> list[Receipt]:
    """`accept` in a transaction of its own: one statement where every verdict follows from the event's uid."""
    if database.is_sqlite or not batch or not all(map(_is_new_by_itself, batch)):
        return database.transact(lambda connection: accept(connection, environment, batch))
    statement = statement_returning(database.dialect, events, events.c.uid)
    stored = {str(uid) for (uid,) in database.alone(statement, {"rows": packed(_new(environment, batch))})}
    return _verdicts(batch, {}, stored)


def _verdicts(batch: Sequence[Event], owners: Mapping[str, str], stored: Collection[str]) -> list[Receipt]:
    receipts = [_receipt(event, owners.get(event.uid, event.uid)) for event in batch]
    return [
        receipt if event.uid in stored else replace(receipt, verdict=Verdict.DUPLICATE)
        for event, receipt in zip(batch, receipts, strict=True)
    ]


def _is_new_by_itself(event: Event) -> bool:
    """A trigger's uid follows from its transaction id for good."""
    return event.kind is EventKind.TRIGGER or event.id is None


def _new(environment: str, batch: Sequence[Event]) -> list[Row]:
    """In one order for everybody, so that two with the same transaction ids never wait for each other."""
    rows = [_row(environment, event) | {"verdict": Verdict.ACCEPTED} for event in batch]
    return sorted(rows, key=lambda row: row["uid"])


def _owners(connection: sa.Connection, environment: str, batch: Sequence[Event]) -> dict[str, str]:
    """For each duplicate of the batch, by uid, the uid of the event that was first within the window.

    A key that is new is claimed by the statement that finds it so: two never both own it.
    """
    keyed = [((event.name, str(event.id)), event) for event in batch if not _is_new_by_itself(event)]
    keyed.sort(key=lambda pair: pair[1].received_at)
    claims = {key: event for key, event in reversed(keyed)}
    rows = [_first(environment, key, claims[key]) for key in sorted(claims)]
    new = insert_returning(connection, dedupe, rows, dedupe.c.uid)
    known = [key for key, event in claims.items() if event.uid not in new]
    first = {key: (event.received_at, event.uid) for key, event in claims.items() if event.uid in new}
    first |= _seen(connection, environment, known)
    owners: dict[str, str] = {}
    changed: dict[tuple[str, str], Row] = {}
    for key, event in keyed:
        seen_at, uid = first[key]
        if seen_at > event.received_at - DEDUPE_WINDOW:
            if uid != event.uid:
                owners[event.uid] = uid
            continue
        first[key] = (event.received_at, event.uid)
        changed[key] = _first(environment, key, event)
    upsert(connection, dedupe, [changed[key] for key in sorted(changed)], ["first_seen", "uid"])
    return owners


def _first(environment: str, key: tuple[str, str], event: Event) -> Row:
    name, id_ = key
    return {"environment": environment, "name": name, "id": id_, "first_seen": event.received_at, "uid": event.uid}


def _seen(
    connection: sa.Connection, environment: str, keys: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], tuple[datetime, str]]:
    """When each of these stored keys was first seen and by whom, locked until the transaction ends."""
    if not keys:
        return {}
    query = (
        sa.select(dedupe.c.name, dedupe.c.id, dedupe.c.first_seen, dedupe.c.uid)
        .where(dedupe.c.environment == environment)
        .where(among(dedupe.c.name, {name for name, _ in keys}), among(dedupe.c.id, {id_ for _, id_ in keys}))
        .order_by(dedupe.c.name, dedupe.c.id)
        .with_for_update()
    )
    wanted = set(keys)
    found = {(row.name, row.id): (row.first_seen, row.uid) for row in connection.execute(query).all()}
    return {key: seen for key, seen in found.items() if key in wanted}


def _receipt(event: Event, uid: str) -> Receipt:
    transaction = event.transaction_id if event.kind is EventKind.TRIGGER else uid
    return Receipt(uid=uid, name=event.name, id=event.id, verdict=Verdict.ACCEPTED, transaction_id=transaction)


def _row(environment: str, event: Event) -> Row:
    return {"environment": environment} | {name: getattr(event, name) for name in _ENVELOPE}


def outbox_rows(environment: str, batch: Sequence[Event]) -> list[Row]:
    """The batch as rows of an outbox."""
    return [_row(environment, event) for event in batch]


def take_in(connection: sa.Connection, environment: str, limit: int) -> int:
    """Move up to `limit` committed outbox rows to the event store, each with its verdict; returns how many."""
    page = (
        sa.select(*(outbox.c[name] for name in _ENVELOPE), outbox.c.seq)
        .where(outbox.c.environment == environment)
        .order_by(outbox.c.seq)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = connection.execute(page).all()
    accept(connection, environment, [_event(row[:-1]) for row in rows])
    if rows:
        connection.execute(outbox.delete().where(among(outbox.c.seq, [row.seq for row in rows])))
    return len(rows)


def _event(row: Any) -> Event:
    uid, kind, *rest = row
    return Event(uid, EventKind(kind), *rest)


def unmatched(connection: sa.Connection, environment: str, now: datetime, limit: int) -> list[Event]:
    """The oldest accepted events that are due and not matched yet, in (`ts`, reception) order."""
    query = (
        sa.select(*_STORED)
        .where(events.c.environment == environment, events.c.matched_at.is_(None), events.c.ts <= now)
        .order_by(events.c.ts, events.c.received_at, events.c.uid)
        .limit(limit)
    )
    return [_event(row) for row in connection.execute(query).all()]


def still_unmatched(connection: sa.Connection, environment: str, uids: Sequence[str]) -> set[str]:
    """Of these, those nobody matched or cancelled meanwhile, locked until the transaction ends."""
    query = (
        sa.select(events.c.uid)
        .where(events.c.environment == environment, among(events.c.uid, uids), events.c.matched_at.is_(None))
        .order_by(events.c.uid)
        .with_for_update()
    )
    return set(connection.execute(query).scalars())


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


def is_pending(environment: Any, now: Any) -> sa.ColumnElement[bool]:
    """Whether anything waits to be taken in or matched now."""
    in_outbox = sa.exists().where(outbox.c.environment == environment)
    waiting = sa.select(events.c.ts).where(events.c.environment == environment, events.c.matched_at.is_(None))
    # In the order of the index, whatever PostgreSQL thinks there is.
    first = waiting.order_by(events.c.ts).limit(1).scalar_subquery()
    return sa.or_(in_outbox, sa.func.coalesce(first <= now, sa.false()))


def watermark(connection: sa.Connection, environment: str, now: datetime) -> datetime:
    """Every stored event with an earlier `ts` has been matched.

    What still lies in an application's own outbox is not known here: it counts from when it was copied.
    """
    stored = sa.select(sa.func.min(events.c.ts)).where(
        events.c.environment == environment, events.c.matched_at.is_(None)
    )
    waiting = sa.select(sa.func.min(outbox.c.ts)).where(outbox.c.environment == environment)
    # In the order in which rows move: one that moves between the two reads is seen by the second.
    return min([now, *(ts for query in (waiting, stored) if (ts := connection.execute(query).scalar()) is not None)])


def next_due(connection: sa.Connection, environment: str, now: datetime) -> datetime | None:
    """The `ts` of the next event that waits for its time."""
    query = sa.select(sa.func.min(events.c.ts)).where(
        events.c.environment == environment, events.c.matched_at.is_(None), events.c.ts > now
    )
    return connection.execute(query).scalar()


def held(connection: sa.Connection, environment: str, now: datetime, limit: int = 100) -> list[Event]:
    """Events that wait for their time, the next one first."""
    query = (
        sa.select(*_STORED)
        .where(events.c.environment == environment, events.c.matched_at.is_(None), events.c.ts > now)
        .order_by(events.c.ts)
        .limit(limit)
    )
    return [_event(row) for row in connection.execute(query).all()]


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
    query = sa.select(*_STORED).where(events.c.environment == environment, among(events.c.uid, set(uids)))
    return {row.uid: _event(row) for row in connection.execute(query).all()}


def since(
    connection: sa.Connection,
    environment: str,
    name: str,
    start: datetime,
    until: datetime,
    having: tuple[str, Sequence[Any]] | None = None,
) -> Generator[Sequence[Event]]:
    """Accepted events of this name from `start` to `until`, both included, oldest first, a page at a time.

    With `having`, a dotted path and values, those are left out of which the database can tell that they have none of
    these there.
    """
    query = (
        sa.select(*_STORED)
        .where(events.c.environment == environment, events.c.name == name)
        .where(events.c.ts >= start, events.c.ts <= until)
        .where(events.c.kind == EventKind.EVENT, events.c.verdict == Verdict.ACCEPTED)
        .order_by(events.c.ts, events.c.received_at, events.c.uid)
    )
    if having is not None:
        path, values = having
        root, _, below = path.partition(".")
        if below and root in ("data", "user"):
            query = query.where(may_have(connection, events.c[root], below, values))
    with connection.execute(query, execution_options={"yield_per": PAGE}) as found:
        for page in found.partitions():
            yield [_event(row) for row in page]


def about(
    connection: sa.Connection, environment: str, names: Sequence[str], subjects: Sequence[str]
) -> dict[str, list[Event]]:
    """What is known of each subject from events of these names, oldest first."""
    query = (
        sa.select(*_STORED)
        .where(
            events.c.environment == environment,
            among(events.c.subject, set(subjects)),
            events.c.name.in_(list(names)),
            events.c.verdict == Verdict.ACCEPTED,
        )
        .order_by(events.c.ts, events.c.received_at, events.c.uid)
    )
    found: dict[str, list[Event]] = {subject: [] for subject in subjects}
    for row in connection.execute(query).all():
        found[row.subject].append(_event(row))
    return found
