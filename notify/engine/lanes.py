"""Lanes: batches at work beside each other, each workflow at most once in a lane."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

#: Works on one workflow until nothing of it is ready.
Ring = Callable[[str], Awaitable[None]]


@dataclass
class Lane:
    """Up to `limit` workflows at work; what arrives for one of them meanwhile joins it, the others take turns."""

    ring: Ring
    over: Callable[[], object]
    limit: int | None = None
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=lambda: dict[str, asyncio.Task[None]]())
    #: Those that were let go, and have not ended.
    left: set[asyncio.Task[None]] = field(default_factory=lambda: set[asyncio.Task[None]]())

    def start(self, workflow: str) -> None:
        """Work on it, unless that happens already or the lane is full."""
        if workflow in self.tasks or (self.limit is not None and len(self.tasks) >= self.limit):
            return
        task = asyncio.ensure_future(self._run(workflow))
        self.tasks[workflow] = task
        task.add_done_callback(lambda _: self._over(workflow, task))

    async def _run(self, workflow: str) -> None:
        await self.ring(workflow)

    def _over(self, workflow: str, task: asyncio.Task[None]) -> None:
        self.left.discard(task)
        if self.tasks.get(workflow) is task:
            del self.tasks[workflow]
        self.over()

    def let_go(self) -> None:
        """Hold no place for what is at work: it may end when it can, and the same workflows may start again."""
        self.left.update(self.tasks.values())
        self.tasks.clear()

    @property
    def unfinished(self) -> set[asyncio.Task[None]]:
        """Everything that has not ended."""
        return {*self.tasks.values(), *self.left}
