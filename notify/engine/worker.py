"""The warm worker: a Prefect worker that runs flow runs in its own process, and looks for work itself.

Prefect's own runner starts a process a flow run (2.5 to 11 s). Here the first task runs within a tenth of a second.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from typing import Any
from uuid import UUID

import anyio.abc
from prefect import Flow
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import WorkerFlowRunResponse
from prefect.context import AsyncClientContext
from prefect.exceptions import ObjectNotFound
from prefect.flow_engine import run_flow_async
from prefect.flows import load_flow_from_flow_run
from prefect.states import Cancelled, Completed, Crashed
from prefect.workers.base import BaseJobConfiguration, BaseVariables, BaseWorker, BaseWorkerResult

from notify.engine import runtime, system_flows
from notify.engine.bells import WAKE
from notify.engine.context import Engine
from notify.engine.flows import NotifyFlow, as_flow
from notify.engine.idle import Idle
from notify.engine.pool import POOL
from notify.engine.presence import Presence
from notify.engine.relay import relaying
from notify.engine.serving import Service
from notify.engine.upcoming import taken_up
from notify.engine.warm import warm
from notify.settings import Settings
from notify.store import alarms
from notify.workflow import Workflow

log = logging.getLogger("notify.worker")
#: Wake-ups that have nothing left to do are ended so many at a time.
AT_ONCE = 4


class NotifyWorkerResult(BaseWorkerResult):
    """How a flow run's place of work ended; the run's own state is set by the flow engine."""


class NotifyWorker(BaseWorker[BaseJobConfiguration, BaseVariables, NotifyWorkerResult]):
    """Serves the work pool `notify`. Behind `notify work`, and behind stock `prefect worker start --type notify`."""

    type = POOL
    job_configuration = BaseJobConfiguration
    job_configuration_variables = BaseVariables
    _description = "Runs notify's flow runs warm, in the worker's own process."
    _display_name = "notify"

    def __init__(self, work_pool_name: str = POOL, **options: Any) -> None:
        # Stock `prefect worker start` asks for ten seconds; a run taken ahead of its time finds nobody due yet.
        settings: dict[str, Any] = {**options, "prefetch_seconds": 0}
        super().__init__(work_pool_name, **settings)
        self.schedules = True
        self.presence = Presence()
        self._ending = asyncio.Semaphore(AT_ONCE)
        self.service: Service | None = None
        self.say: Callable[[str], None] = log.warning
        self._flows: dict[UUID, tuple[str, str]] = {}
        self._known: dict[str, tuple[Workflow, NotifyFlow]] = {}

    # --- running flow runs in this process ------------------------------------------------------

    async def run(
        self,
        flow_run: FlowRun,
        configuration: BaseJobConfiguration,
        task_status: anyio.abc.TaskStatus[int] | None = None,
    ) -> NotifyWorkerResult:
        """Run it here and now."""
        if task_status is not None:
            task_status.started(os.getpid())
        await self._perform(flow_run)
        return NotifyWorkerResult(status_code=0, identifier=str(flow_run.id))

    async def _submit_run(self, flow_run: FlowRun) -> None:
        """Prefect's way from Scheduled to Pending, without the infrastructure nobody needs here."""
        try:
            if not await self._spent(flow_run) and await self._propose_pending_state(flow_run):
                await self._perform(flow_run)
        finally:
            self._release_limit_slot(flow_run.id)
            self._submitting_flow_run_ids.discard(flow_run.id)

    async def _spent(self, flow_run: FlowRun) -> bool:
        """End a wake-up whose people were woken without it; many may come at once when Prefect was away."""
        if WAKE not in flow_run.tags or flow_run.run_count:
            return False
        engine = await runtime.engine()
        async with self._ending:
            if await engine.read(alarms.stands, str(flow_run.id)):
                return False
            state = Completed(message="Whoever waited for it was woken without it")
            await self.client.set_flow_run_state(flow_run.id, state)
            return True

    async def run_now(self, flow_run: FlowRun) -> bool:
        """Run one that is Pending already; answers, when it has ended, whether it completed."""
        self._submitting_flow_run_ids.add(flow_run.id)
        try:
            return await self._perform(flow_run)
        finally:
            self._submitting_flow_run_ids.discard(flow_run.id)

    async def _perform(self, flow_run: FlowRun) -> bool:
        """Whether it completed. A flow that raises has said so in its state already: the worker goes on."""
        try:
            flow = await self._flow(flow_run)
            ended: Any = await run_flow_async(
                flow, flow_run=flow_run, parameters=flow_run.parameters, return_type="state"
            )
            await self._settle(flow_run)
            return ended is None or not (ended.is_failed() or ended.is_crashed())
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.warning("flow run %s could not be run: %s", flow_run.name, error, exc_info=True)
            state = Crashed(message=f"The worker could not run it: {error}")
            with suppress(ObjectNotFound):  # somebody deleted it; its work is in the rows
                await self.client.set_flow_run_state(flow_run.id, state, force=True)
            return False

    async def _settle(self, flow_run: FlowRun) -> None:
        """Prefect refuses any other end of a run that is Cancelling: one cancelled too late would stay so for ever."""
        try:
            found = await self.client.read_flow_run(flow_run.id)
        except ObjectNotFound:
            return
        if found.state is not None and found.state.type is StateType.CANCELLING:
            state = Cancelled(message="It had done its work before it could be stopped")
            await self.client.set_flow_run_state(flow_run.id, state, force=True)

    async def _flow(self, flow_run: FlowRun) -> Flow[..., Any]:
        """The flow of a deployment of ours from the workflows as they are now; anybody else's from its entrypoint."""
        workflow, part = await self._deployment(flow_run)
        engine = await runtime.engine()
        known = engine.registry.workflows.get(workflow)
        if known is None or part not in ("notify", "batch", "cron"):
            return system_flows.named(workflow) or await load_flow_from_flow_run(flow_run)
        flow = self._made(known)
        return flow if part == "notify" else getattr(flow, part)

    def _made(self, workflow: Workflow) -> NotifyFlow:
        """Prefect takes a while to look over a flow's parameters: it does so once for a workflow as it is."""
        known = self._known.get(workflow.id)
        if known is None or known[0] is not workflow:
            known = self._known[workflow.id] = workflow, as_flow(workflow)
        return known[1]

    async def _deployment(self, flow_run: FlowRun) -> tuple[str, str]:
        if flow_run.deployment_id is None:
            return "", ""
        if flow_run.deployment_id not in self._flows:
            deployment = await self.client.read_deployment(flow_run.deployment_id)
            flow = await self.client.read_flow(deployment.flow_id)
            self._flows[flow_run.deployment_id] = (flow.name, deployment.name)
        return self._flows[flow_run.deployment_id]

    # --- the loops ------------------------------------------------------------------------------

    async def start(
        self, run_once: bool = False, with_healthcheck: bool = False, printer: Callable[..., None] = print
    ) -> None:
        """What stock `prefect worker start` calls: serve until cancelled (with `run_once`, until idle)."""
        settings = Settings.from_env()
        engine = await asyncio.to_thread(runtime.build, settings)
        runtime.install(engine)
        printer(f"Worker {self.name!r} started!")
        await self.serve(engine, until_idle=run_once)
        printer(f"Worker {self.name!r} stopped!")

    async def serve(
        self, engine: Engine, *, until_idle: bool = False, started: Callable[[], None] = lambda: None
    ) -> Idle | None:
        """Work until stopped, or until nothing is left to do; then let runs come to their true end."""
        async with self._one_client(), self, relaying(engine):
            return await self._serve(engine, until_idle, started)

    def _one_client(self) -> AbstractAsyncContextManager[object]:
        """Flow runs share a client: to make one costs a tenth of a short run. It asks for the server's version."""
        return AsyncClientContext.get_or_create() if self.presence.answers else nullcontext()

    async def _serve(self, engine: Engine, until_idle: bool, started: Callable[[], None]) -> Idle | None:
        with warm():
            self.service = Service(
                engine,
                self.client,
                self.presence,
                self.name,
                self.say,
                self.run_now,
                take_up=self.get_and_submit_flow_runs,
                sync=self.sync_with_backend,
                schedules=self.schedules,
            )
            idle = await self.service.run(until_idle=until_idle, started=started)
            if self._runs_task_group is not None and self.presence.away:
                self._runs_task_group.cancel_scope.cancel()
            return idle

    def stop(self) -> None:
        """Claim nothing more, let rounds finish."""
        runtime.close()
        if self.service is not None:
            self.service.conductor.stopping.set()

    async def deploy_again(self) -> None:
        """Take over workflows that were read anew."""
        if self.service is not None:
            await self.service.deploy_again()

    async def _sync_and_initialize(self) -> None:
        """A server that does not answer keeps nobody from starting: the loop tries on."""
        if self.presence.answers:
            await super()._sync_and_initialize()

    async def _get_scheduled_flow_runs(self) -> list[WorkerFlowRunResponse]:
        """Asked twice a second, so that nothing else has to ask whether anybody answers."""
        return await self.presence.hear(super()._get_scheduled_flow_runs)

    async def _submit_scheduled_flow_runs(self, flow_run_response: list[WorkerFlowRunResponse]) -> list[FlowRun]:
        """Prefect's way, for what is to be run."""
        held = self.service.holds.paused if self.service is not None else ()
        return await super()._submit_scheduled_flow_runs(await taken_up(self.client, flow_run_response, held))
