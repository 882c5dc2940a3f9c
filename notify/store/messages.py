"""Messages: decided with their step, then delivered under a claim of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from notify.model import Channel, Content, Delivery, MessageStatus, OutcomeKind
from notify.store import held
from notify.store.bulk import Row, given, insert_returning, upsert
from notify.store.tables import attempts, messages
from notify.store.types import among, chosen_once, database_now

_M, _A = messages.c, attempts.c


@dataclass(frozen=True, slots=True)
class Queued:
    """A message this worker may deliver, until its lease ends."""

    id: str
    workflow: str
    subscriber: str
    channel: Channel
    address: str
    content: Content
    delivery: Delivery
    attempts: int
    priority: int


def add(connection: sa.Connection, environment: str, rows: Sequence[Row], token: str, lease: timedelta) -> set[str]:
    """Insert what was decided for notifications still held under `token`; returns the ids of what went in."""
    whole = [row | {"environment": environment} for row in rows]
    return insert_returning(connection, messages, whole, _M.id, lease=lease, token=token)


def claim(
    connection: sa.Connection, environment: str, *, token: str, lease: timedelta, now: datetime, limit: int
) -> list[Queued]:
    """Take up to `limit` messages that are due and that nobody delivers, the most urgent and oldest first.

    A call under way when its worker was lost has an attempt without an outcome: it becomes `unknown` here.
    """
    free = sa.or_(_M.claim.is_(None), _M.lease_until < database_now())
    chosen = (
        sa.select(_M.id)
        .where(_M.environment == environment, _M.status == MessageStatus.QUEUED, _M.next_attempt_at <= now, free)
        .order_by(_M.priority.desc(), _M.next_attempt_at, _M.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    taken = (
        messages.update()
        .where(chosen_once(chosen))
        .values(claim=token, lease_until=database_now(lease))
        .returning(*messages.columns)
    )
    return [queued(row) for row in connection.execute(taken).all()]


def interrupted(connection: sa.Connection, environment: str, ids: Sequence[str], now: datetime) -> set[str]:
    """Of these messages, those whose last attempt has no outcome; it is recorded as unknown."""
    open_ = sa.and_(_A.environment == environment, among(_A.message, ids), _A.outcome.is_(None))
    lost = set(
        connection.execute(
            attempts.update()
            .where(open_)
            .values(outcome=OutcomeKind.UNKNOWN, finished_at=now, detail="the worker was lost during the call")
            .returning(_A.message)
        ).scalars()
    )
    mine = sa.and_(_M.environment == environment, among(_M.id, sorted(lost)))
    connection.execute(messages.update().where(mine).values(attempts=_M.attempts + 1))
    return lost


def queued(row: Any) -> Queued:
    """A row of `messages` as what a provider needs."""
    return Queued(
        row.id,
        row.workflow,
        row.subscriber,
        Channel(row.channel),
        row.address,
        Content(**row.content),
        Delivery(row.delivery),
        row.attempts,
        row.priority,
    )


def extend(connection: sa.Connection, environment: str, token: str, lease: timedelta) -> None:
    """Keep every message claimed under `token` for another `lease`."""
    mine = sa.and_(_M.environment == environment, _M.status == MessageStatus.QUEUED, _M.claim == token)
    connection.execute(messages.update().where(mine).values(lease_until=database_now(lease)))


def lock(connection: sa.Connection, environment: str, ids: Sequence[str], token: str) -> set[str]:
    """Of `ids`, those still claimed under `token`, in their lease and queued, locked until the transaction ends."""
    query = (
        sa.select(_M.id)
        .where(_M.environment == environment, among(_M.id, ids))
        .where(_M.claim == token, _M.status == MessageStatus.QUEUED, _M.lease_until > database_now())
        .order_by(_M.id)
        .with_for_update()
    )
    return set(connection.execute(query).scalars())


def record_attempts(connection: sa.Connection, environment: str, rows: Sequence[Row]) -> None:
    """Write starts and outcomes: rows of `message`, `number`, `provider`, `started_at` and, once known, the rest.

    An outcome stands: an answer that comes after its call was given up as unknown changes nothing.
    """
    changes = ("finished_at", "outcome", "provider_message_id", "detail")
    whole = [row | {"environment": environment} for row in rows]
    upsert(connection, attempts, whole, changes, where="attempts.outcome IS NULL")


#: What an attempt may change in its message.
CHANGES = (
    "status",
    "reason",
    "error",
    "provider",
    "provider_message_id",
    "attempts",
    "next_attempt_at",
    "sent_at",
    "delivered_at",
    "claim",
)


def settle(connection: sa.Connection, environment: str, token: str, rows: Sequence[Row]) -> None:
    """Write what attempts came to; a message whose claim was lost is left alone. Rows of `id` and CHANGES."""
    if rows:
        new = given(connection, messages, sorted(rows, key=lambda row: row["id"]), "id", *CHANGES).c
        connection.execute(
            messages.update()
            .where(_M.environment == environment, _M.id == new.id, _M.claim == token)
            .where(_M.status == MessageStatus.QUEUED)
            .values({name: new[name] for name in CHANGES})
        )


def release(connection: sa.Connection, environment: str, token: str) -> None:
    """Give back everything claimed under `token`."""
    mine = sa.and_(_M.environment == environment, _M.claim == token, _M.status == MessageStatus.QUEUED)
    connection.execute(messages.update().where(mine).values(claim=None, lease_until=None))


def is_due(environment: Any, now: Any) -> sa.ColumnElement[bool]:
    """Whether a message waits that nobody delivers now, or one was held until now."""
    free = sa.or_(_M.claim.is_(None), _M.lease_until < database_now())
    waits = sa.exists().where(
        _M.environment == environment, _M.status == MessageStatus.QUEUED, _M.next_attempt_at <= now, free
    )
    return sa.or_(waits, held.is_due(environment, now))


def undelivered(connection: sa.Connection, environment: str, now: datetime) -> int:
    """How many messages are due or being delivered now."""
    # Each has an index of its own.
    due = (
        sa.select(sa.func.count())
        .where(_M.environment == environment, _M.status == status, _M.next_attempt_at <= now)
        .scalar_subquery()
        for status in (MessageStatus.QUEUED, MessageStatus.HELD)
    )
    return sum(connection.execute(sa.select(*due)).one())


def next_attempt(connection: sa.Connection, environment: str) -> datetime | None:
    """When the next queued message wants to be tried."""
    query = sa.select(sa.func.min(_M.next_attempt_at)).where(
        _M.environment == environment, _M.status == MessageStatus.QUEUED, _M.claim.is_(None)
    )
    return connection.execute(query).scalar()


def to_retry(connection: sa.Connection, environment: str) -> int:
    """How many messages wait for another attempt."""
    query = sa.select(sa.func.count()).where(
        _M.environment == environment, _M.status == MessageStatus.QUEUED, _M.claim.is_(None)
    )
    return connection.execute(query).scalar_one()
