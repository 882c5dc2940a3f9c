"""Who waits for which event."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from notify.model import NotificationStatus, StepState
from notify.store.bulk import Row, given, upsert
from notify.store.tables import awaited, notifications, steps
from notify.store.types import among
from notify.store.wanted import want_alarms

_A, _N, _S = awaited.c, notifications.c, steps.c
#: Stands for the name of an event where a notification waits for the end of one it called; `key` is its transaction.
INVOKED = "notify/invoked"
#: Waits in memory at once.
PAGE = 500


def expect(connection: sa.Connection, environment: str, rows: Sequence[Row]) -> None:
    """Note waits: rows of `notification`, `step`, `workflow` and what else `awaited` has."""
    whole = [row | {"environment": environment} for row in rows]
    upsert(connection, awaited, whole, ["name", "key", "expression", "since", "until", "reached_at"])


def names(connection: sa.Connection, environment: str, some: Collection[str]) -> set[str]:
    """Of these names of events, those that somebody waits for: a probe each."""
    if not some:
        return set()
    asked = given(connection, awaited, [{"name": name} for name in sorted(some)], "name")
    anybody = sa.exists().where(_A.environment == environment, _A.name == asked.c.name)
    return set(connection.execute(sa.select(asked.c.name).where(anybody)).scalars())


def waiting(connection: sa.Connection, environment: str, keys: Sequence[tuple[str, str]]) -> Iterator[Sequence[Any]]:
    """Who waits for an event of one of these names and keys: rows of the wait and of its notification's `event`.

    A page of them at a time, in no order. Nobody may be met before the last page.
    """
    asked = given(connection, awaited, [{"name": name, "key": key} for name, key in keys], "name", "key")
    same = sa.and_(_A.environment == environment, _A.name == asked.c.name, _A.key == asked.c.key)
    query = (
        sa.select(*awaited.columns, _N.event)
        .join_from(asked, awaited, same)
        .join(notifications, sa.and_(_N.environment == _A.environment, _N.id == _A.notification))
        .where(_N.status == NotificationStatus.WAITING)
    )
    with connection.execute(query, execution_options={"yield_per": PAGE}) as found:
        yield from found.partitions()


def meet(connection: sa.Connection, environment: str, rows: Sequence[Row], now: datetime) -> None:
    """Let steps be over with what they waited for: rows of `notification`, `key`, `state`, `value` or `error`, and of
    `reached_at`, how far that brings the notification.

    Whoever waits for nothing else becomes ready; for the others alarms are wanted.
    """
    ids = {row["notification"] for row in rows}
    locked = (
        sa.select(_N.id, _N.workflow)
        .where(_N.environment == environment, among(_N.id, ids), _N.status == NotificationStatus.WAITING)
        .order_by(_N.id)
        .with_for_update()
    )
    workflows = {row.id: row.workflow for row in connection.execute(locked)}
    kept = [row for row in rows if row["notification"] in workflows]
    if kept:
        _settle(connection, environment, kept, now)
        for workflow, instants in _rouse(connection, environment, kept, workflows).items():
            want_alarms(connection, environment, workflow, instants, now)


def _settle(connection: sa.Connection, environment: str, rows: Sequence[Row], now: datetime) -> None:
    new = given(connection, steps, rows, "notification", "key", "state", "value", "error").c
    mine = sa.and_(_S.environment == environment, _S.notification == new.notification, _S.key == new.key)
    over = steps.update().where(mine, _S.state == StepState.DELAYED)
    connection.execute(over.values(state=new.state, value=new.value, error=new.error, finished_at=now))
    gone = given(connection, awaited, [row | {"step": row["key"]} for row in rows], "notification", "step").c
    met = sa.select(_A.notification, _A.step).where(
        _A.environment == environment, _A.notification == gone.notification, _A.step == gone.step
    )
    connection.execute(
        awaited.delete().where(_A.environment == environment, sa.tuple_(_A.notification, _A.step).in_(met))
    )


def _rouse(
    connection: sa.Connection, environment: str, rows: Sequence[Row], workflows: Mapping[str, str]
) -> dict[str, list[datetime]]:
    reached: dict[str, datetime] = {}
    for row in rows:
        id_ = row["notification"]
        reached[id_] = max(row["reached_at"], reached.get(id_, row["reached_at"]))
    left = _left(connection, environment, sorted(reached))
    changes = [
        {
            "id": id_,
            "status": NotificationStatus.WAITING if id_ in left else NotificationStatus.READY,
            "wake_at": left.get(id_),
            "reached_at": max(at, left.get(id_, at)),
        }
        for id_, at in sorted(reached.items())
    ]
    names = ("status", "wake_at", "reached_at")
    new = given(connection, notifications, changes, "id", *names).c
    mine = sa.and_(_N.environment == environment, _N.id == new.id)
    connection.execute(notifications.update().where(mine).values({name: new[name] for name in names}))
    instants: dict[str, list[datetime]] = {}
    for id_, until in left.items():
        instants.setdefault(workflows[id_], []).append(until)
    return instants


def _left(connection: sa.Connection, environment: str, ids: Sequence[str]) -> dict[str, datetime]:
    """Of these notifications, those that wait for something else, until when."""
    query = sa.select(_S.notification, _S.value).where(
        _S.environment == environment, among(_S.notification, ids), _S.state == StepState.DELAYED
    )
    left: dict[str, datetime] = {}
    for row in connection.execute(query):
        until = datetime.fromisoformat(row.value["until"])
        left[row.notification] = max(until, left.get(row.notification, until))
    return left


def callers(connection: sa.Connection, environment: str, transactions: Sequence[str]) -> list[Any]:
    """Who waits for the end of one of these transactions: rows of the wait."""
    if not transactions:
        return []
    query = sa.select(awaited).where(_A.environment == environment, _A.name == INVOKED, among(_A.key, transactions))
    return list(connection.execute(query))


def answer_callers(
    connection: sa.Connection, environment: str, ids: Sequence[str], outcome: Row, now: datetime
) -> None:
    """Tell whoever called one of these notifications what it came to: `state`, and `value` or `error`."""
    if not ids or not names(connection, environment, {INVOKED}):
        return
    ended = sa.select(_N.transaction_id).where(_N.environment == environment, among(_N.id, ids))
    found = callers(connection, environment, list(connection.execute(ended).scalars()))
    rows = [{"notification": row.notification, "key": row.step, "reached_at": now} | outcome for row in found]
    if rows:
        meet(connection, environment, rows, now)


def forget(connection: sa.Connection, environment: str, ids: Sequence[str]) -> None:
    """These notifications wait for no event any more."""
    if ids:
        connection.execute(awaited.delete().where(_A.environment == environment, among(_A.notification, ids)))


def is_awaited_after(watermark: datetime) -> sa.ColumnElement[bool]:
    """Whether a notification waits for an event up to an instant by which not every event has been matched."""
    return sa.exists().where(_A.environment == _N.environment, _A.notification == _N.id, _A.until >= watermark)
