"""The part of a worker that looks for work: it matches, rings for what is ready and due, and arms alarms.

It finds new rows by looking: a probe of indexes each 50 ms when lately busy, 200 ms when quiet. It knows nothing of
Prefect; a `Ringer` has the work done as flow runs. Urgent workflows and attempts that are due never wait for a flow
run: they have lanes of their own in this loop, as every workflow has while Prefect is away.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from notify.engine import local, match
from notify.engine.aside import DELIVER, Aside
from notify.engine.context import Engine
from notify.engine.gathering import Gathering
from notify.engine.idle import Idle, look
from notify.engine.lanes import Lane, Ring
from notify.engine.presence import Presence
from notify.engine.sweep import sweep_rows
from notify.errors import NotifyError

log = logging.getLogger("notify.conductor")
#: Seconds between probes when lately busy, when quiet, and how long "lately" is.
BUSY, QUIET, LATELY = 0.05, 0.2, 5.0
#: Seconds between sweeps.
SWEEP = 30.0
#: What is waited for before an error of the world is met again.
PATIENCE = 1.0
#: Batches at work at the same time: more only wait for the same cores and the same server.
SIDE_BY_SIDE = 4
#: Seconds after which a workflow that waits for a place goes before those of higher priority.
FAIR = 5.0
#: Seconds that flow runs have to end when the worker stops while Prefect is away.
GRACE = 10.0


class Ringer(Protocol):
    """Has work done by Prefect."""

    async def ring(self, workflow: str) -> None:
        """Work on one workflow until nothing of it is ready."""
        ...

    async def arm(self) -> None:
        """Let scheduled flow runs stand for the alarms that have none."""
        ...


@dataclass
class Conductor:
    """The loop of one worker."""

    engine: Engine
    ringer: Ringer
    aside: Aside
    presence: Presence
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _busy_at: float = 0.0
    _swept_at: float = 0.0
    _gathering: Gathering = field(default_factory=Gathering)
    #: Since when a busy workflow has waited for a place.
    _since: dict[str, float] = field(default_factory=lambda: dict[str, float]())

    def __post_init__(self) -> None:
        self._urgent = self._lane(self.aside.ring)
        self._due = self._lane(self.aside.deliver)
        self._flow_runs = self._lane(self.ringer.ring, SIDE_BY_SIDE)
        self._without = self._lane(self.aside.ring, SIDE_BY_SIDE)
        self._arming = Lane(self._arm, lambda: None)

    async def run(self) -> None:
        """Until `stopping` is set; an error of the world is logged and met again, nothing is given up."""
        while not self.stopping.is_set():
            await self._patiently(self._turn)
            await self._pause()
        await self._finish()

    async def until_idle(self) -> Idle:
        """Until nothing is ready, leased or due, and alarms are armed; returns what still waits."""
        while not self.stopping.is_set():
            await self._patiently(self._turn)
            if not self._at_work() and (found := await look(self.engine)).idle:
                self._arming.start("")
                await self._finish()
                return found
            await self._pause()
        await self._finish()
        return await look(self.engine)

    def _at_work(self) -> bool:
        return any(lane.tasks for lane in (self._urgent, self._due, self._flow_runs, self._without))

    async def _finish(self) -> None:
        """Let what is at work come to its end; what only waits for an answer of Prefect is not waited for."""
        own = self._urgent.unfinished | self._due.unfinished | self._without.unfinished
        await asyncio.gather(*own, return_exceptions=True)
        asked, began = self._flow_runs.unfinished | self._arming.unfinished, time.monotonic()
        while asked and not (self.presence.away and time.monotonic() - began > GRACE):
            _, asked = await asyncio.wait(asked, timeout=QUIET)
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)

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
        found = await local.look(self.engine)
        busy = [workflow for workflow in local.busy(self.engine, found) if not self.engine.holds(workflow)]
        if self.presence.away:
            self._flow_runs.let_go()
        for workflow in self._in_turn(busy):
            self._begin(workflow)
        if found.undelivered and not self.engine.holds(DELIVER):
            self._due.start(DELIVER)
        # Last, for it takes its time; what a page comes to is begun in the next turn, which follows at once.
        matched = found.unmatched and self._gathering.over(time.monotonic()) and await self._match()
        if matched or busy:
            self._busy_at = time.monotonic()
        await self._keep_house()
        if found.unarmed and not self.presence.away:
            self._arming.start("")

    async def _match(self) -> int:
        """A page that cannot be matched keeps nothing else from being worked on."""
        try:
            matched = await match.match_page(self.engine)
        except Exception:
            log.exception("a page could not be matched; it is tried again")
            return 0
        self._gathering.after(matched, match.PAGE, time.monotonic())
        return matched

    def _begin(self, workflow: str) -> None:
        lane = self._lane_of(workflow)
        lane.start(workflow)
        if workflow in lane.tasks:
            self._since.pop(workflow, None)

    def _in_turn(self, busy: Sequence[str]) -> list[str]:
        """By priority; but whoever has waited for long for one of the places goes before those who had theirs."""
        known, now = self.engine.registry.workflows, time.monotonic()
        waiting = [id_ for id_ in busy if id_ not in self._lane_of(id_).tasks]
        self._since = {id_: self._since.get(id_, now) for id_ in waiting}

        def turn(id_: str) -> tuple[float, bool, int]:
            since = self._since.get(id_, now)
            return since if now - since > FAIR else now, not known[id_].urgent, -known[id_].priority

        return sorted(busy, key=turn)

    def _lane_of(self, workflow: str) -> Lane:
        """Urgent workflows wait for nobody; the others are flow runs, except while Prefect is away."""
        if self.engine.registry.workflow(workflow).urgent:
            return self._urgent
        return self._without if self.presence.away else self._flow_runs

    async def _arm(self, _: str) -> None:
        await self._patiently(self.ringer.arm)

    def _lane(self, ring: Ring, limit: int | None = None) -> Lane:
        def work(workflow: str) -> Coroutine[Any, Any, None]:
            return self._patiently(lambda: ring(workflow))

        return Lane(work, self.engine.bell.set, limit)

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
