"""Prefect's side brought in line with the rows: after a worker is killed its flow runs stay Running for ever."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterStartTime,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

from notify import clock
from notify.engine.calling_off import called_off
from notify.engine.context import Engine
from notify.store import alarms

log = logging.getLogger("notify.reconcile")
#: A worker that has not been heard of for this long is gone.
SILENCE = timedelta(seconds=60)
#: Flow runs asked for at once.
PAGE = 200


def is_stopped(state: State[Any] | None) -> bool:
    """Whether an operator cancelled the flow run."""
    return state is not None and state.type in (StateType.CANCELLED, StateType.CANCELLING)


async def consult(engine: Engine, workflow: str, now: datetime) -> None:
    """Before whoever is due by `now` is woken: who waits for a wake-up that an operator cancelled is cancelled.

    Prefect is asked after that instant, so cancelling before it always wins.
    """
    standing = await engine.read(alarms.standing, workflow, now)
    if not standing:
        return
    async with get_client() as client:
        states = await _states(client, standing)
    await _call_off(engine, standing, states)


async def reconcile(engine: Engine, client: PrefectClient, worker: str = "a worker") -> None:
    """Mark runs of lost workers Crashed, and forget scheduled runs that somebody deleted."""
    for row in await engine.read(alarms.silent, clock.now() - SILENCE):
        await _crashed(engine, client, row, worker)
    await _armed(engine, client)


async def _crashed(engine: Engine, client: PrefectClient, row: Any, worker: str) -> None:
    """The rows it held are free again; the run says where its work goes on, as soon as that is known."""
    heir = await _heir(client, row)
    if heir is None and row.heartbeat_at > clock.now() - SILENCE * 1.5:
        return
    # By its id: a run is named again when it is known whom it was about.
    where = f"in the run {heir.id} of {row.workflow}" if heir else f"by {worker}, in the next run of {row.workflow}"
    try:
        flow_run = await client.read_flow_run(UUID(row.id))
        if flow_run.state is not None and not flow_run.state.is_final():
            message = f"Its worker was lost; what it held is continued {where}"
            await client.set_flow_run_state(flow_run.id, Crashed(message=message), force=True)
    except ObjectNotFound:
        log.info("flow run %s is gone", row.id)
    await engine.write(alarms.done, row.id)


async def _heir(client: PrefectClient, row: Any) -> FlowRun | None:
    """The first run of its workflow since its last sign of life that found somebody."""
    later = await client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=[row.workflow])),
        flow_run_filter=FlowRunFilter(start_time=FlowRunFilterStartTime(after_=row.heartbeat_at)),
        sort=FlowRunSort.START_TIME_ASC,
        limit=PAGE,
    )
    return next((run for run in later if str(run.id) != row.id and not run.name.endswith("· nobody")), None)


async def _armed(engine: Engine, client: PrefectClient) -> None:
    """An alarm whose flow run was deleted or lost is armed again; one that was cancelled is called off."""
    armed = [alarm for alarm in await engine.read(alarms.all_of) if alarm.flow_run]
    for some in (armed[start : start + PAGE] for start in range(0, len(armed), PAGE)):
        await _settle(engine, some, await _states(client, some))


async def _states(client: PrefectClient, standing: Sequence[Any]) -> dict[str, State[Any]]:
    """The states of the flow runs that stand for these alarms; who was deleted has none."""
    found: list[FlowRun] = []
    for some in (standing[start : start + PAGE] for start in range(0, len(standing), PAGE)):
        ids = FlowRunFilterId(any_=[UUID(alarm.flow_run) for alarm in some])
        found += await client.read_flow_runs(flow_run_filter=FlowRunFilter(id=ids), limit=PAGE)
    return {str(run.id): run.state for run in found if run.state is not None}


async def _call_off(engine: Engine, standing: Sequence[Any], states: Mapping[str, State[Any]]) -> list[Any]:
    cancelled = [alarm for alarm in standing if is_stopped(states.get(alarm.flow_run))]
    if cancelled:
        count = await engine.write(called_off, engine.registry, cancelled)
        log.info("%s waiting notifications were cancelled in Prefect", count)
    return cancelled


async def _settle(engine: Engine, armed: Sequence[Any], states: Mapping[str, State[Any]]) -> None:
    cancelled = await _call_off(engine, armed, states)
    alive = {id_ for id_, state in states.items() if not state.is_final()}
    lost = [alarm.id for alarm in armed if alarm.flow_run not in alive and alarm not in cancelled]
    if lost:
        await engine.write(alarms.renew, lost)
