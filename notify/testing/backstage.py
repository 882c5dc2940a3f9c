"""What works behind a rehearsal: the hands that stand in for workers, and the loop they work in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

from notify.engine.context import Engine
from notify.engine.hands import Hands, OwnHands
from notify.testing import mode
from notify.testing.people import People
from notify.workflow import Workflow

T = TypeVar("T")


@contextmanager
def hands_for(engine: Engine) -> Generator[Hands]:
    """Those of this process, or flow runs where they were asked for."""
    if mode.through_prefect:
        with import_module("notify.engine.onstage").flow_runs(engine) as hands:
            yield hands
    else:
        yield OwnHands(engine, InTurn())


@dataclass
class Reaching:
    """Hands that see to it that whoever is about to be told something can be reached."""

    hands: Hands
    engine: Engine
    people: People

    async def batch(self, workflow: Workflow) -> bool:
        """Work on whoever is ready or due."""
        await self.engine.write(self.people.complete)
        return await self.hands.batch(workflow)

    async def cron(self, workflow: Workflow) -> None:
        """Close the calendar digests that are due."""
        await self.hands.cron(workflow)


class InTurn:
    """A stage on which one group of work comes after another, so that every run of a test is the same."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def task(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """Run `work` after whatever was asked for before."""
        async with self._turn:
            return await work()


class Loop:
    """One event loop for the length of a rehearsal, also for a test that runs in a loop of its own."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="notify-rehearsal")

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, which is over then."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._runner.run(work)
        return self._thread.submit(self._runner.run, work).result()

    def close(self) -> None:
        """End it."""
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()
