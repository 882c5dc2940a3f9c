"""Whose hands do the work of a workflow: those of this process's own loop, or flow runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from notify import clock
from notify.engine import batch
from notify.engine.context import Engine
from notify.engine.work import Quietly, Stage, Tally
from notify.store import closing
from notify.workflow import Workflow


class Hands(Protocol):
    """What stands in for a worker."""

    async def batch(self, workflow: Workflow) -> bool:
        """Work on whoever is ready or due; False when nothing came of it."""
        ...

    async def cron(self, workflow: Workflow) -> None:
        """Close the calendar digests that are due."""
        ...


@dataclass
class OwnHands:
    """Batches in this process, without Prefect."""

    engine: Engine
    stage: Stage = field(default_factory=Quietly)
    tally: Tally = field(default_factory=Tally)

    async def batch(self, workflow: Workflow) -> bool:
        """Wake, close, claim, drive and deliver once."""
        return await batch.work(self.engine, workflow, self.stage, self.tally)

    async def cron(self, workflow: Workflow) -> None:
        """Whoever carries a digest that is closed here is ready, and is worked on with the next batch."""
        while await self.engine.write(closing.close_calendar, workflow.id, now=clock.now()):
            continue
