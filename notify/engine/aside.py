"""Work in the worker's own loop, without Prefect: urgent workflows always, every workflow while Prefect is away."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from notify import clock
from notify.engine import batch, delivery
from notify.engine.context import Engine
from notify.engine.ledger import Ledger
from notify.engine.underway import Underway
from notify.engine.work import Quietly, Tally
from notify.workflow import Workflow

#: Seconds after which a batch that always finds more to do gives its place to another.
LONGEST = 60.0
#: The work that is no workflow's: attempts that are due.
DELIVER = "deliver"


@dataclass
class Aside:
    """Drives batches as a flow run does, and leaves a row in `unreported` as the record of what they came to."""

    engine: Engine
    ledger: Ledger
    stopping: Callable[[], bool] = lambda: False

    async def ring(self, workflow: str) -> None:
        """Work on one workflow until nothing of it is ready."""
        known = self.engine.registry.workflow(workflow)
        tally, began = Tally(), clock.now()
        try:
            await self._drive(known, tally)
        except Exception as error:
            await self.ledger.note(known, tally, began, str(error) or type(error).__name__)
            raise
        if tally.notifications:
            await self.ledger.note(known, tally, began)

    async def _drive(self, workflow: Workflow, tally: Tally) -> None:
        started = time.monotonic()
        scope = batch.Scope(stop=self.stopping)
        async with Underway() as batches:
            while not self.stopping() and await batches.work(self.engine, workflow, Quietly(), tally, scope):
                if time.monotonic() - started > LONGEST:
                    return

    async def deliver(self, _: str = "") -> None:
        """Make the attempts that are due."""
        while not self._holds() and await delivery.deliver_due(self.engine):
            continue

    def _holds(self) -> bool:
        return self.stopping() or self.engine.holds(DELIVER)
