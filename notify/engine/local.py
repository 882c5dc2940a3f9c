"""Working without Prefect: the same driver and rows, in this process's own loop.

Used by the test kit, which moves the clock, and by a worker whose Prefect server does not answer.
"""

from __future__ import annotations

from notify import clock
from notify.engine import batch, delivery, match
from notify.engine.context import Engine
from notify.engine.work import Quietly, Stage, Tally
from notify.store import probe
from notify.store.probe import Found

#: Rounds after which a world that never settles is reported rather than waited for.
_ROUNDS = 10_000


async def settle(engine: Engine, stage: Stage | None = None) -> Tally:
    """Do everything that can be done at this instant: match, wake, close, drive, deliver; until nothing is left."""
    stage = stage or Quietly()
    tally = Tally()
    for _ in range(_ROUNDS):
        done = await match.match_page(engine)
        for workflow in busy(engine, await look(engine)):
            done += await batch.work(engine, engine.registry.workflow(workflow), stage, tally)
        done += await delivery.deliver_due(engine)
        if not done:
            return tally
    raise RuntimeError(f"still not settled after {_ROUNDS} rounds")


async def look(engine: Engine) -> Found:
    """What there is to do now."""
    return await engine.read(probe.look, tuple(engine.registry.workflows), clock.now())


def busy(engine: Engine, found: Found) -> list[str]:
    """The workflows of this process that have something to do, in the order of their files."""
    return [workflow for workflow in engine.registry.workflows if workflow in found.busy]
