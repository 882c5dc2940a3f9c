"""The part of a worker that looks for work: it matches, rings for what is ready and due, and arms alarms.

It finds new rows by looking: a probe of indexes each 50 ms when lately busy, 200 ms when quiet. It knows nothing of
Prefect; a `Ringer` has the work done, as flow runs or in this loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from notify import clock
from notify.engine import local, match
from notify.engine.context import Engine
from notify.engine.idle import Idle, look
from notify.engine.sweep import sweep_rows
from notify.errors import NotifyError
from notify.store import messages

log = logging.getLogger("notify.conductor")
#: Seconds between probes when lately busy, when quiet, and how long "lately" is.
BUSY, QUIET, LATELY = 0.05, 0.2, 5.0
#: Seconds between sweeps.
SWEEP = 30.0
#: What is waited for before an error of the world is met again.
PATIENCE = 1.0
DELIVER = "deliver"
#: Batches at work at the same time: more only wait for the same cores and the same server.
SIDE_BY_SIDE = 4


class Ringer(Protocol):
    """Has work done somewhere."""

    async def ring(self, workflow: str) -> None:
        """Work on one workflow until nothing of it is ready, or on `deliver`."""
        ...

    async def arm(self) -> None:
        """Let scheduled flow runs stand for the alarms that have none."""
        ...


@dataclass
class Conductor:
    """The loop of one worker."""

    engine: Engine
    ringer: Ringer
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    active: dict[str, asyncio.Task[None]] = field(default_factory=lambda: dict[str, asyncio.Task[None]]())
    _busy_at: float = 0.0
    _swept_at: float = 0.0

    async def run(self) -> None:
        """Until `stopping` is set; an error of the world is logged and met again, nothing is given up."""
        while not self.stopping.is_set():
            await self._patiently(self._turn)
            await self._pause()
        await asyncio.gather(*self.active.values(), return_exceptions=True)

    async def until_idle(self) -> Idle:
        """Until nothing is ready, leased or due; returns what still waits."""
        while not self.stopping.is_set():
            await self._patiently(self._turn)
            if not self.active and (found := await look(self.engine)).idle:
                return found
            await self._pause()
        return await look(self.engine)

    async def _patiently(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except NotifyError as error:
            log.warning("%s", error)
            await asyncio.sleep(PATIENCE)
        except Exception:
            log.exception("the worker met an error and goes on")
            await asyncio.sleep(PATIENCE)

    async def _turn(self) -> None:
        self.engine.bell.clear()
        matched = await self._match()
        busy = await local.busy(self.engine)
        for workflow in self._by_priority(busy):
            self._start(workflow)
        if await self.engine.read(messages.due, clock.now()):
            self._start(DELIVER)
        if matched or busy:
            self._busy_at = time.monotonic()
        await self._keep_house()
        await self.ringer.arm()

    async def _match(self) -> int:
        """A page that cannot be matched keeps nothing else from being worked on."""
        try:
            return await match.match_page(self.engine)
        except Exception:
            log.exception("a page could not be matched; it is tried again")
            return 0

    def _by_priority(self, busy: Sequence[str]) -> list[str]:
        known = self.engine.registry.workflows
        return sorted(busy, key=lambda id_: (not known[id_].urgent, -known[id_].priority))

    def _start(self, workflow: str) -> None:
        """One live batch a workflow and worker: what arrives meanwhile joins it."""
        if workflow not in self.active and len(self.active) < SIDE_BY_SIDE:
            task = asyncio.create_task(self._ring(workflow))
            self.active[workflow] = task
            task.add_done_callback(lambda _: self._over(workflow))

    async def _ring(self, workflow: str) -> None:
        await self._patiently(lambda: self.ringer.ring(workflow))

    def _over(self, workflow: str) -> None:
        self.active.pop(workflow, None)
        self.engine.bell.set()

    async def _keep_house(self) -> None:
        now = time.monotonic()
        if now - self._swept_at > SWEEP:
            self._swept_at = now
            await sweep_rows(self.engine)

    async def _pause(self) -> None:
        lately = time.monotonic() - self._busy_at < LATELY
        waiting = asyncio.create_task(self.engine.bell.wait())
        stopping = asyncio.create_task(self.stopping.wait())
        seconds = BUSY if lately else QUIET
        await asyncio.wait({waiting, stopping}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in (waiting, stopping):
            task.cancel()
