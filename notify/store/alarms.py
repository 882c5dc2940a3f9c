"""Alarms (when somebody wants to wake), flow runs at work, and leases. Rows that stand for Prefect's side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from notify.model import NotificationStatus, new_id
from notify.store.bulk import Row, insert, insert_new, insert_returning, upsert
from notify.store.tables import alarms, flow_runs, installation, leases, notifications, windows
from notify.store.types import among, database_now

_AL, _F, _L, _N, _W = alarms.c, flow_runs.c, leases.c, notifications.c, windows.c

#: Alarms of a workflow that have a scheduled flow run at a time: the nearest.
ARMED = 50
#: Whom a lease is kept under that nobody holds, and until when.
_NOBODY, _EPOCH = "00000000-0000-0000-0000-000000000000", datetime(1970, 1, 1, tzinfo=UTC)


def want(connection: sa.Connection, environment: str, workflow: str, buckets: Iterable[datetime]) -> list[Any]:
    """Note that somebody wants to wake in each bucket; returns the ids of alarms that were not there yet."""
    rows = [
        {"environment": environment, "id": new_id(), "workflow": workflow, "bucket": when}
        for when in sorted(set(buckets))
    ]
    return sorted(insert_returning(connection, alarms, rows, _AL.id))


def unarmed(connection: sa.Connection, environment: str, workflows: Sequence[str]) -> list[Any]:
    """The alarms that are to have a flow run and have none, the nearest first."""
    if not workflows:
        return []
    found = sa.union_all(*(nearest_unarmed(environment, workflow) for workflow in workflows))
    return sorted(connection.execute(found).all(), key=lambda alarm: alarm.bucket)


def nearest_unarmed(environment: Any, workflow: str) -> sa.Select[Any]:
    """Those of one workflow. It looks at the nearest only, however many there are."""
    mine = sa.select(alarms).where(_AL.environment == environment, _AL.workflow == workflow)
    nearest = mine.order_by(_AL.bucket).limit(ARMED).subquery()
    return sa.select(nearest).where(nearest.c.flow_run.is_(None))


def armed_beyond(connection: sa.Connection, environment: str) -> list[Any]:
    """Alarms that have a flow run though enough nearer ones of their workflow are there."""
    place = sa.func.row_number().over(partition_by=_AL.workflow, order_by=_AL.bucket).label("place")
    found = sa.select(alarms, place).where(_AL.environment == environment).subquery()
    return list(connection.execute(sa.select(found).where(found.c.place > ARMED, found.c.flow_run.is_not(None))))


def armed(connection: sa.Connection, environment: str, alarm: str, flow_run: str, now: datetime) -> None:
    """A scheduled flow run stands for this alarm."""
    connection.execute(
        alarms.update().where(_AL.environment == environment, _AL.id == alarm).values(flow_run=flow_run, armed_at=now)
    )


def rung(connection: sa.Connection, environment: str, workflow: str, now: datetime) -> list[str]:
    """Drop the alarms that are due: whoever wants to wake later makes a new one. Returns their flow runs."""
    due = sa.and_(_AL.environment == environment, _AL.workflow == workflow, _AL.bucket <= now)
    dropped = connection.execute(alarms.delete().where(due).returning(_AL.flow_run)).scalars()
    return [flow_run for flow_run in dropped if flow_run]


def all_of(connection: sa.Connection, environment: str) -> list[Any]:
    """Every alarm, the nearest first."""
    query = sa.select(alarms).where(_AL.environment == environment).order_by(_AL.bucket)
    return list(connection.execute(query))


def stands(connection: sa.Connection, environment: str, flow_run: str) -> bool:
    """Whether an alarm is there for this flow run."""
    query = sa.select(sa.exists().where(_AL.environment == environment, _AL.flow_run == flow_run))
    return bool(connection.execute(query).scalar())


def before(connection: sa.Connection, environment: str, workflow: str, bucket: datetime) -> datetime | None:
    """The end of the stretch before this one, if an alarm covers it."""
    query = sa.select(sa.func.max(_AL.bucket)).where(
        _AL.environment == environment, _AL.workflow == workflow, _AL.bucket < bucket
    )
    return connection.execute(query).scalar()


def standing(connection: sa.Connection, environment: str, workflow: str, now: datetime) -> list[Any]:
    """The alarms with a flow run for whoever of the workflow is due now; none while nobody is."""
    mine = sa.and_(_AL.environment == environment, _AL.workflow == workflow)
    sleeper = (
        sa.exists()
        .where(_N.environment == environment, _N.workflow == workflow)
        .where(_N.status == NotificationStatus.WAITING, _N.wake_at <= now)
    )
    window = (
        sa.exists()
        .where(_W.environment == environment, _W.workflow == workflow)
        .where(_W.state == "open", _W.mode != "calendar", _W.closes_at <= now)
    )
    # Who is due may wake in the stretch of an alarm whose end is still to come.
    following = sa.select(sa.func.min(_AL.bucket)).where(mine, _AL.bucket > now).scalar_subquery()
    near = sa.or_(_AL.bucket <= now, _AL.bucket == following)
    query = sa.select(alarms).where(mine, near, _AL.flow_run.is_not(None), sa.or_(sleeper, window))
    return list(connection.execute(query))


def covered(connection: sa.Connection, environment: str, workflow: str, instant: datetime, until: datetime) -> bool:
    """Whether an alarm in [`instant`, `until`] stands for this instant already."""
    query = sa.exists().where(
        _AL.environment == environment, _AL.workflow == workflow, _AL.bucket >= instant, _AL.bucket <= until
    )
    return bool(connection.execute(sa.select(query)).scalar())


def drop(connection: sa.Connection, environment: str, ids: Sequence[str]) -> list[str]:
    """Nobody wakes for these any more; returns those that were still there: they are the caller's to run."""
    gone = alarms.delete().where(_AL.environment == environment, among(_AL.id, ids)).returning(_AL.id)
    return list(connection.execute(gone).scalars())


def renew(connection: sa.Connection, environment: str, ids: Sequence[str]) -> int:
    """Give these alarms new ids and no flow run: Prefect remembers the old ids for ever and answers with dead runs.

    Returns how many were still there.
    """
    mine = sa.and_(_AL.environment == environment, among(_AL.id, ids))
    rows = connection.execute(alarms.delete().where(mine).returning(_AL.workflow, _AL.bucket)).all()
    for row in rows:
        want(connection, environment, row.workflow, [row.bucket])
    return len(rows)


def working(
    connection: sa.Connection, environment: str, workflow: str, flow_run: str, worker: str, now: datetime
) -> None:
    """Note that `worker` works on this flow run."""
    row = {
        "environment": environment,
        "id": flow_run,
        "workflow": workflow,
        "worker": worker,
        "started_at": now,
        "heartbeat_at": now,
    }
    upsert(connection, flow_runs, [row], ["worker", "heartbeat_at"])


def done(connection: sa.Connection, environment: str, flow_run: str) -> None:
    """Nobody works on this flow run any more."""
    connection.execute(flow_runs.delete().where(_F.environment == environment, _F.id == flow_run))


def beat(connection: sa.Connection, environment: str, worker: str, now: datetime) -> None:
    """The worker is alive, and so are its flow runs."""
    connection.execute(
        flow_runs.update().where(_F.environment == environment, _F.worker == worker).values(heartbeat_at=now)
    )


def silent(connection: sa.Connection, environment: str, since: datetime) -> list[Any]:
    """Flow runs whose worker has not been heard of since then."""
    query = sa.select(flow_runs).where(_F.environment == environment, _F.heartbeat_at < since)
    return list(connection.execute(query))


def lease(
    connection: sa.Connection, environment: str, name: str, holder: str, length: timedelta, rank: int = 0
) -> bool:
    """Take or keep the right to do `name`; False while somebody else of no lower rank holds it."""
    statement = insert(connection, leases)
    statement = statement.values(
        environment=environment, name=name, holder=holder, until=database_now(length), rank=rank
    ).on_conflict_do_update(
        index_elements=["environment", "name"],
        set_={"holder": holder, "until": database_now(length), "rank": rank},
        where=sa.or_(_L.holder == holder, _L.until < database_now(), _L.rank < rank),
    )
    return connection.execute(statement.returning(_L.holder)).scalar() == holder


def holds(connection: sa.Connection, environment: str, name: str, holder: str) -> bool:
    """Whether `holder` may still do `name`, locked until the transaction ends: the fence of a lease."""
    query = sa.select(_L.holder).where(_L.environment == environment, _L.name == name).with_for_update()
    return connection.execute(query).scalar() == holder


def hold_off(connection: sa.Connection, environment: str, name: str) -> None:
    """Let whoever does `name` commit nothing more until this transaction ends."""
    anybody: Row = {"environment": environment, "name": name, "holder": _NOBODY, "until": _EPOCH, "rank": 0}
    insert_new(connection, leases, [anybody])
    query = sa.select(_L.holder).where(_L.environment == environment, _L.name == name).with_for_update(read=True)
    connection.execute(query)


def is_held(connection: sa.Connection, environment: str, name: str) -> bool:
    """Whether anybody holds the right to do `name` now."""
    query = sa.select(_L.name).where(_L.environment == environment, _L.name == name, _L.until > database_now())
    return connection.execute(query).scalar() is not None


def give_up(connection: sa.Connection, environment: str, holder: str) -> None:
    """Let go of everything `holder` leased."""
    connection.execute(leases.delete().where(_L.environment == environment, _L.holder == holder))


def installation_id(connection: sa.Connection) -> str:
    """What tells this store's flow runs from those of another on the same Prefect server."""
    insert_new(connection, installation, [{"name": "id", "value": new_id()}])
    query = sa.select(installation.c.value).where(installation.c.name == "id")
    return connection.execute(query).scalar_one()


def nearest(connection: sa.Connection, environment: str, workflow: str, until: datetime) -> Any:
    """The first alarm of the workflow whose stretch ends by `until`, or None."""
    query = (
        sa.select(alarms)
        .where(_AL.environment == environment, _AL.workflow == workflow, _AL.bucket <= until)
        .order_by(_AL.bucket)
        .limit(1)
    )
    return connection.execute(query).one_or_none()
