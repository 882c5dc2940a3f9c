"""Working without Prefect: the same driver and rows, in this process's own loop.

Used by the test kit, which moves the clock, and by a worker whose Prefect server does not answer.
"""

from __future__ import annotations

import sqlalchemy as sa

from notify import clock
from notify.engine import batch, delivery, match
from notify.engine.context import Engine
from notify.engine.work import Quietly, Stage, Tally
from notify.store import backlog, fanouts, windows

#: Rounds after which a world that never settles is reported rather than waited for.
_ROUNDS = 10_000


async def settle(engine: Engine, stage: Stage | None = None) -> Tally:
    """Do everything that can be done at this instant: match, wake, close, drive, deliver; until nothing is left."""
    stage = stage or Quietly()
    tally = Tally()
    for _ in range(_ROUNDS):
        done = await match.match_page(engine)
        for workflow in await busy(engine):
            done += await batch.work(engine, engine.registry.workflow(workflow), stage, tally)
        done += await delivery.deliver_due(engine)
        if not done:
            return tally
    raise RuntimeError(f"still not settled after {_ROUNDS} rounds")


async def busy(engine: Engine) -> list[str]:
    """The workflows that have something to do now: a ready notification, a due sleeper or a window past its end."""
    return await engine.read(_busy, engine)


def _busy(connection: sa.Connection, environment: str, engine: Engine) -> list[str]:
    known = list(engine.registry.workflows)
    now = clock.now()
    ready = set(backlog.ready_workflows(connection, environment, known))
    ready |= set(fanouts.open_workflows(connection, environment))
    ready |= set(windows.due_workflows(connection, environment, now))
    ready |= set(backlog.due_workflows(connection, environment, now))
    return [workflow for workflow in known if workflow in ready]
