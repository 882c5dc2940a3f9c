"""Prefect's side brought in line with the rows: after a worker is killed its flow runs stay Running for ever."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

from notify import clock
from notify.engine.calling_off import called_off
from notify.engine.context import Engine
from notify.store import alarms

log = logging.getLogger("notify.reconcile")
#: A worker that has not been heard of for this long is gone.
SILENCE = timedelta(seconds=60)


async def reconcile(engine: Engine, client: PrefectClient) -> None:
    """Mark runs of lost workers Crashed, and forget scheduled runs that somebody deleted."""
    for row in await engine.read(alarms.silent, clock.now() - SILENCE):
        await _crashed(engine, client, row)
    await _armed(engine, client)


async def _crashed(engine: Engine, client: PrefectClient, row: Any) -> None:
    """The rows it held are free again already; the run only has to say so."""
    try:
        flow_run = await client.read_flow_run(UUID(row.id))
        if flow_run.state is not None and not flow_run.state.is_final():
            message = f"Its worker was lost; what it held is continued in later runs of {row.workflow}"
            await client.set_flow_run_state(flow_run.id, Crashed(message=message), force=True)
    except ObjectNotFound:
        log.info("flow run %s is gone", row.id)
    await engine.write(alarms.done, row.id)


async def _armed(engine: Engine, client: PrefectClient) -> None:
    """An alarm whose flow run was deleted or lost is armed again; one that was cancelled is called off."""
    armed = [alarm for alarm in await engine.read(alarms.all_of) if alarm.flow_run]
    for some in (armed[start : start + 200] for start in range(0, len(armed), 200)):
        ids = [UUID(alarm.flow_run) for alarm in some]
        found = await client.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=ids)), limit=200)
        states = {str(run.id): run.state for run in found if run.state is not None}
        await _settle(engine, some, states)


async def _settle(engine: Engine, armed: list[Any], states: Mapping[str, State[Any]]) -> None:
    cancelled = [alarm for alarm in armed if alarm.flow_run in states and states[alarm.flow_run].is_cancelled()]
    if cancelled:
        count = await engine.write(called_off, engine.registry, cancelled)
        log.info("%s waiting notifications were cancelled in Prefect", count)
    alive = {id_ for id_, state in states.items() if not state.is_final()}
    lost = [alarm.id for alarm in armed if alarm.flow_run not in alive and alarm not in cancelled]
    if lost:
        await engine.write(alarms.renew, lost)
