"""Which of the flow runs that are due a worker takes up: not what is held, and of many that are late only the last."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import WorkerFlowRunResponse
from prefect.states import Completed

from notify.engine.bells import WAKE


async def taken_up(
    client: PrefectClient, due: Sequence[WorkerFlowRunResponse], held: Collection[UUID]
) -> list[WorkerFlowRunResponse]:
    """What is to be run. After a pause a schedule has many late runs: the last one does the work of them all."""
    offered = [one for one in due if not _stands(one.flow_run) or one.flow_run.deployment_id not in held]
    last = _last(one.flow_run for one in offered if _stands(one.flow_run))
    late = [one for one in offered if _stands(one.flow_run) and last[one.flow_run.deployment_id].id != one.flow_run.id]
    for one in late:
        # By its id: a run is named again when it is known whom it was about.
        done = Completed(message=f"Late: the run {last[one.flow_run.deployment_id].id} does its work")
        await client.set_flow_run_state(one.flow_run.id, done)
    return [one for one in offered if one not in late]


def _stands(flow_run: FlowRun) -> bool:
    """Whether it stands for an instant, of a schedule or an alarm, rather than for something a person asked for."""
    return bool(flow_run.auto_scheduled) or WAKE in flow_run.tags


def _last(flow_runs: Iterable[FlowRun]) -> dict[UUID | None, FlowRun]:
    """The last one of each deployment."""
    ordered = sorted(flow_runs, key=lambda one: (one.next_scheduled_start_time or one.created, one.id))
    return {one.deployment_id: one for one in ordered}
