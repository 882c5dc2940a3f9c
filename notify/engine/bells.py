"""Ringing through Prefect: unscheduled flow runs for what is ready, scheduled ones for what waits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, StateDetails
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import ObjectNotFound
from prefect.states import Pending, Scheduled

from notify import clock
from notify.engine.calling_off import called_off
from notify.engine.conductor import PATIENCE
from notify.engine.context import Engine
from notify.engine.reconcile import is_stopped
from notify.store import alarms
from notify.timing import spoken

log = logging.getLogger("notify.bells")
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
    #: The deployments of which only so many runs may be at work.
    limited: Callable[[], Collection[UUID]] = frozenset[UUID]
    _installation: str = field(default="")
    #: By workflow, the run for which a concurrency limit left no room.
    _waiting: dict[str, UUID] = field(default_factory=lambda: dict[str, UUID]())

    async def ring(self, workflow: str) -> None:
        """Run the flow run that stood for the alarm, one that waited for room, or a new one."""
        if not await self._registered():
            return
        flow_run = await self._alarm(workflow) or await self._queued(workflow) or await self._create(workflow)
        if flow_run is None or not await self.run_now(flow_run):
            # What made it fail may make the next one fail as well: not at once, and not as fast as it can.
            await asyncio.sleep(PATIENCE)

    async def _alarm(self, workflow: str) -> FlowRun | None:
        """The flow run an operator sees under Upcoming does the work it stood for."""
        alarm = await self.engine.read(alarms.nearest, workflow, clock.now() + NEAR)
        if alarm is None or alarm.flow_run is None or workflow in self._waiting:
            return None
        try:
            flow_run = await self.client.read_flow_run(UUID(alarm.flow_run))
        except ObjectNotFound:
            return None
        if is_stopped(flow_run.state):
            await self.engine.write(called_off, self.engine.registry, [alarm])
            return None
        return await self._taken(workflow, flow_run)

    async def _queued(self, workflow: str) -> FlowRun | None:
        """The one that found no room before, if it is still to be run."""
        waiting = self._waiting.pop(workflow, None)
        if waiting is None:
            return None
        try:
            return await self._taken(workflow, await self.client.read_flow_run(waiting))
        except ObjectNotFound:
            return None

    async def _create(self, workflow: str) -> FlowRun | None:
        """A new one; where only so many may run it asks for its place first, and is kept while there is none."""
        if workflow in self._waiting:
            return None
        deployment = self.deployments[f"{workflow}/batch"]
        limited = deployment in self.limited()
        flow_run = await self.client.create_flow_run_from_deployment(
            deployment, state=Scheduled() if limited else Pending(), name=f"{workflow} · now"
        )
        return await self._taken(workflow, flow_run) if limited else flow_run

    async def _taken(self, workflow: str, flow_run: FlowRun) -> FlowRun | None:
        """Make a scheduled one ours. Prefect refuses where somebody cancelled it or has it, or has no room for it."""
        if flow_run.state is None or not flow_run.state.is_scheduled():
            return None
        # Not forced, so that a cancelling under way wins. An instant that has passed, so that it need not wait for it.
        pending = Pending(state_details=StateDetails(scheduled_time=flow_run.created))
        answer = await self.client.set_flow_run_state(flow_run.id, pending)
        if answer.state is not None and answer.state.is_scheduled():
            self._waiting[workflow] = flow_run.id
        if answer.state is None or not answer.state.is_pending() or answer.status is not SetStateStatus.ACCEPT:
            return None
        return await self.client.read_flow_run(flow_run.id)

    async def arm(self) -> None:
        """Schedule flow runs for the nearest alarms that have none."""
        if not await self._registered():
            return
        for alarm in await self.engine.read(alarms.unarmed, list(self.engine.registry.workflows)):
            await self._arm(alarm)
        for alarm in await self.engine.read(alarms.armed_beyond):
            await self._disarm(alarm)

    async def _registered(self) -> bool:
        """Whether there are deployments; nobody is kept for long, for meanwhile Prefect may count as away."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self.registered.wait()
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

    async def _disarm(self, alarm: Any) -> None:
        """Nearer ones have come: this one is armed again when they have rung."""
        if await self.engine.write(alarms.renew, [alarm.id]):
            with suppress(ObjectNotFound):
                await self.client.delete_flow_run(UUID(alarm.flow_run))

    async def _installed(self) -> str:
        if not self._installation:
            self._installation = await self.engine.database.writing(alarms.installation_id)
        return self._installation
