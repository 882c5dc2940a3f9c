"""Working without Prefect: the same driver and rows, in this process's own loop.

Used by the test kit, which moves the clock, and by a worker whose Prefect server does not answer.
"""

from __future__ import annotations

from notify import clock
from notify.engine import delivery, match
from notify.engine.context import Engine
from notify.engine.hands import Hands, OwnHands
from notify.engine.work import Quietly, Stage, Tally
from notify.store import probe
from notify.store.probe import Found

#: Rounds after which a world that never settles is reported rather than waited for.
_ROUNDS = 10_000


async def settle(engine: Engine, stage: Stage | None = None) -> Tally:
    """Do everything that can be done at this instant: match, wake, close, drive, deliver; until nothing is left."""
    own = OwnHands(engine, stage or Quietly())
    await settle_with(engine, own)
    return own.tally


async def settle_with(engine: Engine, hands: Hands) -> None:
    """The same with these hands at work on the workflows."""
    for _ in range(_ROUNDS):
        found = await look(engine)
        if found.unmatched and await match.match_page(engine):
            continue
        done = 0
        for workflow in busy(engine, found):
            done += await hands.batch(engine.registry.workflow(workflow))
        if found.undelivered:
            done += await delivery.deliver_due(engine)
        if not done:
            return
    raise RuntimeError(f"still not settled after {_ROUNDS} rounds")


async def look(engine: Engine) -> Found:
    """What there is to do now."""
    registry = engine.registry
    return await engine.read(probe.look, tuple(registry.workflows), clock.now(), registry.limits())


def busy(engine: Engine, found: Found) -> list[str]:
    """The workflows of this process that have something to do, in the order of their files."""
    return [workflow for workflow in engine.registry.workflows if workflow in found.busy]
