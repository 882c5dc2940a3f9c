"""Batches one after another: the letters of one go out while the people of the next are decided."""

from __future__ import annotations

import asyncio
from types import TracebackType

from notify.engine import batch
from notify.engine.context import Engine
from notify.engine.work import Stage, Tally
from notify.workflow import Workflow


class Underway:
    """The batches of one run. At the end of its `async with` block all of them are over."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Future[bool]] = []

    async def __aenter__(self) -> Underway:
        return self

    async def work(self, engine: Engine, workflow: Workflow, stage: Stage, tally: Tally, scope: batch.Scope) -> bool:
        """Claim and drive once, and see that the batch before is over; False when there was nothing to do.

        Raises what kept either of them from being done.
        """
        over = await batch.begin(engine, workflow, stage, tally, scope)
        self._tasks.append(over)
        while len(self._tasks) > 1:
            await self._tasks.pop(0)
        return not over.done() or over.result()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Wait for the rest; a cancelled run leaves nothing going."""
        if isinstance(error, asyncio.CancelledError):
            for task in self._tasks:
                task.cancel()
        outcomes = await asyncio.gather(*self._tasks, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and error is None:
                raise outcome
