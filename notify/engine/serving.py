"""What a worker does beside running flow runs: it looks for work, keeps Prefect informed and obeys what is paused."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from prefect._flow_run_suspension import is_suspended_flow_run_state, mark_flow_run_suspension_requested
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, State, StateType

from notify.engine import deploy, memory, runtime
from notify.engine.aside import Aside
from notify.engine.bells import PrefectRinger, RunNow
from notify.engine.conductor import Conductor
from notify.engine.context import Engine
from notify.engine.holds import Holds
from notify.engine.idle import Idle
from notify.engine.ledger import Ledger
from notify.engine.life import give_sign
from notify.engine.presence import Presence
from notify.engine.reconcile import reconcile
from notify.engine.records import Records, described
from notify.engine.yard import find_list
from notify.store import alarms

log = logging.getLogger("notify.worker")
#: Seconds between polls for runs that people or schedules asked for, between looks at cancelled ones, and of sync.
POLL, WATCH, SYNC, RECONCILE = 0.5, 1.0, 15.0, 15.0
#: Seconds between signs of life, and between looks at whether Prefect answers, which records and registering follow.
BEAT, LOOK = 10.0, 1.0
#: Seconds between looks at what an operator paused.
HELD = 2.0
#: Seconds between times when free memory is given back.
THRIFT = 15.0
#: Seconds that a poll may take: Prefect's client tries for minutes before it admits that nobody answers.
POLL_LIMIT = 20.0

Work = Callable[[], Awaitable[object]]


@dataclass
class Service:
    """The loops of one worker. `name` is the worker's own, as Prefect knows it."""

    engine: Engine
    client: PrefectClient
    presence: Presence
    name: str
    say: Callable[[str], None]
    run_now: RunNow
    #: Prefect's own ways of a worker: to take up runs, and to tell the server that it lives.
    take_up: Work
    sync: Work
    schedules: bool = True
    holds: Holds = field(init=False)
    _suspended: set[UUID] = field(default_factory=lambda: set[UUID]())
    ringer: PrefectRinger = field(init=False)
    conductor: Conductor = field(init=False)

    def __post_init__(self) -> None:
        self.holds = Holds(self.client, self.say)
        self.ringer = PrefectRinger(self.engine, self.client, self.run_now, limited=lambda: self.holds.limited)
        aside = Aside(self.engine, Ledger(self.engine, partial(described, self.engine)), runtime.is_closing)
        self.conductor = Conductor(self.engine, self.ringer, aside, self.presence)

    async def run(self, *, until_idle: bool, started: Callable[[], None]) -> Idle | None:
        """Until stopped, or until nothing is left to do now."""
        await self._deployed()
        memory.settle()
        started()
        async with asyncio.TaskGroup() as loops:
            helpers = [loops.create_task(loop) for loop in self._loops()]
            idle = await (self.conductor.until_idle() if until_idle else self.conductor.run())
            runtime.close()
            for task in helpers:
                task.cancel()
        await self.engine.write(alarms.give_up, self.engine.worker)
        return idle

    async def deploy_again(self) -> None:
        """Take over workflows that were read anew."""
        self.ringer.registered.clear()
        await self._deployed()

    async def _deployed(self) -> None:
        """Register once the server answers; until then no flow run is asked for."""
        if self.presence.answers and not self.ringer.registered.is_set():
            self.ringer.deployments = await self._register()
            await self._look_at_holds()
            self.ringer.registered.set()

    async def _register(self) -> Mapping[str, UUID]:
        registry, file = self.engine.registry, find_list(self.engine.settings.flows)
        made = deploy.listed(registry, file)
        for workflow in deploy.missing(registry, made):
            log.warning("%s is not in %s; it gets its two deployments all the same", workflow.id, file)
            made += deploy.implied(workflow)
        return await deploy.register(self.client, made, folder=file.parent, schedules=self.schedules)

    def _loops(self) -> list[Any]:
        return [
            _forever(lambda: self._asked(self.take_up), POLL),
            _forever(lambda: self._asked(self.sync), SYNC),
            _forever(lambda: self._asked(self._watch), WATCH),
            _forever(lambda: self.presence.look(lambda: self.client.read_work_pools(limit=1)), LOOK),
            _forever(self._deployed, LOOK),
            _forever(lambda: self._asked(self._look_at_holds), HELD),
            _forever(lambda: self._asked(self._report), LOOK),
            _forever(lambda: give_sign(self.engine), BEAT),
            _forever(lambda: asyncio.to_thread(memory.give_back), THRIFT),
            _forever(lambda: self._asked(self._reconcile, None), RECONCILE),
        ]

    async def _asked(self, work: Work, limit: float | None = POLL_LIMIT) -> None:
        """What is nothing without an answer is not asked for while there is none."""
        if self.presence.answers:
            async with asyncio.timeout(limit):
                await work()

    async def _look_at_holds(self) -> None:
        """What an operator paused is not begun, also while nobody answers."""
        if self.ringer.deployments:
            self.holds.deployments = self.ringer.deployments
            await self.holds.look(self.engine)

    async def _report(self) -> None:
        """Let flow runs say what was done without Prefect."""
        await Records(self.engine, self.client, self.ringer.deployments).report()

    async def _reconcile(self) -> None:
        await reconcile(self.engine, self.client, self.name)

    async def _watch(self) -> None:
        """Tell our runs that somebody cancelled them: they stop at the next round and say what they had done."""
        running = [UUID(one) for one in runtime.running()]
        if not running:
            return
        flow_runs = await self.client.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=running)))
        for flow_run in flow_runs:
            cancelling = flow_run.state is not None and flow_run.state.type is StateType.CANCELLING
            if cancelling and not runtime.was_cancelled(str(flow_run.id)):
                runtime.cancel(str(flow_run.id))
                self.say(f"{flow_run.name} ({flow_run.id}) is cancelled: it stops at its next round")
            if flow_run.state is not None and is_suspended_flow_run_state(flow_run.state):
                self._suspend(flow_run, flow_run.state)

    def _suspend(self, flow_run: FlowRun, state: State) -> None:
        """Its next round raises what Prefect knows as a pause; whom it held is ready for another run."""
        mark_flow_run_suspension_requested(flow_run.id, state)
        if flow_run.id not in self._suspended:
            self._suspended.add(flow_run.id)
            self.say(f"{flow_run.name} ({flow_run.id}) is suspended: another run goes on with its people")


async def _forever(work: Work, seconds: float) -> None:
    """Again and again, until the worker ends; a Prefect server that does not answer is met again."""
    while not runtime.is_closing():
        try:
            await work()
        except Exception as error:
            log.warning("%s; trying again", str(error) or type(error).__name__)
        # A cancellation may have been lost in a library on its way here.
        if not runtime.is_closing():
            await asyncio.sleep(seconds)
