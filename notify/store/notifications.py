"""Notifications: created once, claimed with a lease, released by finishing or by waiting.

The fence: a transaction that decides first calls `lock`, and decides only for the ids that came back. Whoever lost
its lease, or whose notification was cancelled meanwhile, gets nothing back and so writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
import sqlalchemy as sa

from notify.model import LIVE, Claimed, Event, NotificationStatus, StepState
from notify.store import awaiting, events, slots
from notify.store.bulk import Row, given, insert_returning
from notify.store.slots import Limited
from notify.store.tables import notifications, steps
from notify.store.types import among, chosen_once, database_now
from notify.store.withdrawals import withdraw_cancelled

READY, RUNNING, WAITING = LIVE
_N = notifications.c
_SUSPENDED = ("wake_at", "window", "reached_at", "tries")


def create(connection: sa.Connection, environment: str, rows: Sequence[Row]) -> set[str]:
    """Insert what does not exist; returns the new ids. Ids are derived, so deciding twice creates nothing."""
    whole = [row | {"environment": environment} for row in sorted(rows, key=lambda row: row["id"])]
    return insert_returning(connection, notifications, whole, _N.id)


def create_claimed(
    connection: sa.Connection,
    environment: str,
    rows: Sequence[Row],
    event: Event,
    *,
    token: str,
    lease: timedelta,
    now: datetime,
) -> list[Claimed]:
    """Like `create`, for one event whose notifications their creator works on at once."""
    held: Row = {"environment": environment, "status": RUNNING, "claim": token, "started_at": now}
    new = insert_returning(connection, notifications, [row | held for row in rows], _N.id, lease=lease)
    return [
        Claimed(
            id=row["id"],
            workflow=row["workflow"],
            subscriber=row["subscriber"],
            event=event,
            transaction_id=row["transaction_id"],
            ts=row["ts"],
            priority=row["priority"],
            version=row["version"],
            window=None,
            tries=0,
            started_at=now,
            taken_in_at=now,
        )
        for row in rows
        if row["id"] in new
    ]


def claim(
    connection: sa.Connection,
    environment: str,
    workflow: str,
    *,
    token: str,
    lease: timedelta,
    now: datetime,
    limit: int,
    event: str | None = None,
    concurrency: Limited | None = None,
) -> list[Claimed]:
    """Take up to `limit` ready notifications, the most urgent and oldest first; `event` takes one trigger's.

    With `concurrency` only those for which there is room; who else claims of the same workflow waits meanwhile.
    """
    chosen = (
        sa.select(_N.id)
        .where(_N.environment == environment, _N.workflow == workflow, _N.status == READY)
        .order_by(_N.priority.desc(), _N.ts, _N.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    if event is not None:
        chosen = chosen.where(_N.event == event)
    if concurrency is not None:
        chosen = slots.with_room(connection, environment, workflow, concurrency, chosen, limit, event)
    taken = (
        notifications.update()
        .where(chosen_once(chosen))
        .values(
            status=RUNNING,
            claim=token,
            lease_until=database_now(lease),
            started_at=sa.func.coalesce(_N.started_at, sa.bindparam("now", now, _N.started_at.type)),
        )
        .returning(*notifications.columns)
    )
    rows = connection.execute(taken).all()
    known = events.load(connection, environment, [row.event for row in rows])
    return sorted((_claimed(row, known[row.event]) for row in rows), key=lambda one: (-one.priority, one.ts, one.id))


def _claimed(row: Any, event: Event) -> Claimed:
    return Claimed(
        id=row.id,
        workflow=row.workflow,
        subscriber=row.subscriber,
        event=event,
        transaction_id=row.transaction_id,
        ts=row.ts,
        priority=row.priority,
        version=row.version,
        window=row.window,
        tries=row.tries,
        started_at=row.started_at,
        reached_at=row.reached_at,
        taken_in_at=row.created_at if row.waited_at is None else None,
    )


def renew(connection: sa.Connection, environment: str, token: str, lease: timedelta) -> None:
    """Keep everything claimed under `token` for another `lease`."""
    mine = sa.and_(_N.environment == environment, _N.status == RUNNING, _N.claim == token)
    connection.execute(notifications.update().where(mine).values(lease_until=database_now(lease)))


def lock(connection: sa.Connection, environment: str, ids: Sequence[str], token: str) -> set[str]:
    """Of `ids`, those still held under `token`, locked until the transaction ends."""
    query = (
        sa.select(_N.id)
        .where(_N.environment == environment, among(_N.id, ids), _N.claim == token, _N.status == RUNNING)
        .order_by(_N.id)
        .with_for_update()
    )
    return set(connection.execute(query).scalars())


def finish(
    connection: sa.Connection, environment: str, rows: Sequence[Row], now: datetime, flow_run: str | None = None
) -> None:
    """End locked notifications: rows of `id`, `status`, `reason`, `error`. One statement a distinct ending.

    Those that fail remember the flow run: when it is retried, it takes them up again.
    """
    endings: dict[bytes, list[Row]] = {}
    for row in rows:
        endings.setdefault(orjson.dumps([row["status"], row["reason"], row["error"]]), []).append(row)
    for same in endings.values():
        ending = {name: same[0][name] for name in ("status", "reason", "error")}
        ending["failed_in"] = flow_run if ending["status"] == NotificationStatus.FAILED else None
        _update(connection, environment, [row["id"] for row in same], finished_at=now, **_released(), **ending)


def _released() -> Row:
    return {"claim": None, "lease_until": None, "wake_at": None}


def _update(connection: sa.Connection, environment: str, ids: Sequence[str], **values: Any) -> None:
    connection.execute(notifications.update().where(_N.environment == environment, among(_N.id, ids)).values(**values))


def suspend(connection: sa.Connection, environment: str, rows: Sequence[Row], now: datetime) -> None:
    """Let locked notifications wait: rows of `id`, `wake_at` (None: a window does), `window`, `reached_at`, `tries`.

    One whose cancelling event came before it first waited is cancelled here, as it would have been live.
    """
    if not rows:
        return
    new = given(connection, notifications, sorted(rows, key=lambda row: row["id"]), "id", *_SUSPENDED).c
    at = sa.literal(now, _N.waited_at.type)
    cancelled = _N.cancel_reason.is_not(None)
    connection.execute(
        notifications.update()
        .where(_N.environment == environment, _N.id == new.id)
        .values(
            status=sa.case((cancelled, NotificationStatus.CANCELLED.value), else_=WAITING.value),
            reason=sa.func.coalesce(_N.cancel_reason, _N.reason),
            finished_at=sa.case((cancelled, at), else_=None),
            claim=None,
            lease_until=None,
            waited_at=at,
            **{name: new[name] for name in _SUSPENDED},
        )
    )
    withdraw_cancelled(connection, environment, [row["id"] for row in rows], now)


def keep_errors(connection: sa.Connection, environment: str, errors: Sequence[Row]) -> None:
    """Why locked notifications are to be tried again: rows of `id`, `error`. How they end replaces it."""
    if errors:
        new = given(connection, notifications, sorted(errors, key=lambda row: row["id"]), "id", "error").c
        mine = sa.and_(_N.environment == environment, _N.id == new.id)
        connection.execute(notifications.update().where(mine).values(error=new.error))


def wake(
    connection: sa.Connection, environment: str, workflow: str, now: datetime, watermark: datetime, limit: int
) -> int:
    """Make due sleepers ready, the earliest first; their waiting steps are complete. Returns how many.

    Who waits for an event has waited in vain only once every event up to then has been matched (`watermark`).
    """
    due = (
        sa.select(_N.id)
        .where(_N.environment == environment, _N.workflow == workflow, _N.status == WAITING, _N.wake_at <= now)
        .order_by(_N.wake_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    if watermark < now:
        due = due.where(sa.not_(awaiting.is_awaited_after(watermark)))
    ready = {"status": READY, "wake_at": None}
    woken = list(
        connection.execute(notifications.update().where(chosen_once(due)).values(**ready).returning(_N.id)).scalars()
    )
    if woken:
        connection.execute(
            steps.update()
            .where(
                steps.c.environment == environment,
                among(steps.c.notification, woken),
                steps.c.state == StepState.DELAYED,
            )
            .values(state=StepState.COMPLETED, finished_at=now)
        )
        awaiting.forget(connection, environment, woken)
    return len(woken)


def resume(connection: sa.Connection, environment: str, ids: Sequence[str], token: str) -> None:
    """Take back, under `token`, those that were let wait a moment ago."""
    if ids:
        mine = sa.and_(_N.environment == environment, among(_N.id, ids), _N.status == WAITING, _N.claim.is_(None))
        connection.execute(notifications.update().where(mine).values(status=RUNNING, claim=token, wake_at=None))


def release(connection: sa.Connection, environment: str, token: str) -> int:
    """Give back everything claimed under `token`, for anybody to take."""
    mine = sa.and_(_N.environment == environment, _N.status == RUNNING, _N.claim == token)
    return connection.execute(
        notifications.update().where(mine).values(status=READY, claim=None, lease_until=None)
    ).rowcount


def reclaim(connection: sa.Connection, environment: str) -> int:
    """Give back what a worker held past its lease; returns how many."""
    expired = sa.and_(_N.environment == environment, _N.status == RUNNING, _N.lease_until < database_now())
    return connection.execute(
        notifications.update().where(expired).values(status=READY, claim=None, lease_until=None)
    ).rowcount
