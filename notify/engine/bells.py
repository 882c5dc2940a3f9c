"""Ringing through Prefect: unscheduled flow runs for what is ready, scheduled ones for what waits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.states import Pending, Scheduled

from notify import clock
from notify.engine.calling_off import called_off
from notify.engine.conductor import PATIENCE
from notify.engine.context import Engine
from notify.store import alarms
from notify.timing import spoken

log = logging.getLogger("notify.bells")
#: Alarms of one workflow that have a flow run; further ones are armed as these go.
ARMED = 50
#: An alarm whose stretch ends within this time of the present is rung now: its first sleeper is due.
NEAR = timedelta(seconds=2)
WAKE = "wake"

#: Runs a flow run to its end; answers whether it came to one that it chose.
RunNow = Callable[[FlowRun], Awaitable[bool]]


@dataclass
class PrefectRinger:
    """Has batches worked on as flow runs of `<workflow>/batch`, in this process."""

    engine: Engine
    client: PrefectClient
    run_now: RunNow
    deployments: Mapping[str, UUID] = field(default_factory=lambda: dict[str, UUID]())
    registered: asyncio.Event = field(default_factory=asyncio.Event)
    _installation: str = field(default="")

    async def ring(self, workflow: str) -> None:
        """Run the flow run that stood for the alarm, or a new one."""
        if not await self._registered():
            return
        flow_run = await self._alarm(workflow) or await self._create(workflow)
        if not await self.run_now(flow_run):
            # What made it fail may make the next one fail as well: not at once, and not as fast as it can.
            await asyncio.sleep(PATIENCE)

    async def _alarm(self, workflow: str) -> FlowRun | None:
        """The flow run an operator sees under Upcoming does the work it stood for."""
        alarm = await self.engine.read(alarms.nearest, workflow, clock.now() + NEAR)
        if alarm is None or alarm.flow_run is None:
            return None
        try:
            flow_run = await self.client.read_flow_run(UUID(alarm.flow_run))
        except ObjectNotFound:
            flow_run = None
        if flow_run is not None and flow_run.state is not None and flow_run.state.is_cancelled():
            await self.engine.write(called_off, self.engine.registry, [alarm])
            return None
        mine = await self.engine.write(alarms.drop, [alarm.id])
        if not mine or flow_run is None or flow_run.state is None or not flow_run.state.is_scheduled():
            return None
        await self.client.set_flow_run_state(flow_run.id, Pending(), force=True)
        return await self.client.read_flow_run(flow_run.id)

    async def _create(self, workflow: str) -> FlowRun:
        deployment = self.deployments[f"{workflow}/batch"]
        return await self.client.create_flow_run_from_deployment(deployment, state=Pending(), name=f"{workflow} · now")

    async def arm(self) -> None:
        """Schedule flow runs for the nearest alarms that have none."""
        if not await self._registered():
            return
        for alarm in await self.engine.read(alarms.unarmed, list(self.engine.registry.workflows), ARMED):
            await self._arm(alarm)

    async def _registered(self) -> bool:
        """Whether there are deployments; nobody is kept for long, for meanwhile Prefect may count as away."""
        try:
            await asyncio.wait_for(self.registered.wait(), PATIENCE)
        except TimeoutError:
            return False
        return True

    async def _arm(self, alarm: Any) -> None:
        installation = await self._installed()
        flow_run = await self.client.create_flow_run_from_deployment(
            self.deployments[f"{alarm.workflow}/batch"],
            state=Scheduled(scheduled_time=alarm.bucket),
            name=f"{alarm.workflow} · until {spoken(alarm.bucket, clock.now())}",
            tags=[WAKE],
            idempotency_key=f"{installation}:{alarm.id}",
        )
        await self.engine.write(alarms.armed, alarm.id, str(flow_run.id), clock.now())

    async def _installed(self) -> str:
        if not self._installation:
            self._installation = await self.engine.database.writing(alarms.installation_id)
        return self._installation
