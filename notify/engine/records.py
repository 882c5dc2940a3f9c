"""Flow runs for what was done without Prefect: created in their final state, a few at a time, the oldest first.

An operator finds them beside the others of `<workflow>/batch`, under the same names and with the same sentences, to
which the true times are added: Prefect dates a run that is created finished by its creation. Their tag is `unreported`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed, Failed

from notify import clock
from notify.engine.context import Engine
from notify.engine.flows import Run
from notify.engine.ledger import Chapter
from notify.store import alarms, unreported
from notify.workflow import Workflow

log = logging.getLogger("notify.records")
#: One record a workflow and worker in this time, whatever the load.
STRETCH = timedelta(seconds=5)
#: Records made in one go, once a second.
FEW = 5
TAG = "unreported"


def described(engine: Engine, workflow: Workflow, chapter: Chapter) -> Mapping[str, Any]:
    """The name and the end that a flow run with this tally would have given itself."""
    run = Run(engine, workflow, chapter.id)
    run.tally = chapter.tally
    state = run.state()
    if chapter.problem is not None:
        state = Failed(message=f"{chapter.problem}. Before that: {state.message}")
    return {"name": run.name, "state": state.name or state.type.value, "message": state.message or ""}


@dataclass
class Records:
    """Turns rows of `unreported` into flow runs, each once however often it is tried."""

    engine: Engine
    client: PrefectClient
    deployments: Mapping[str, UUID] = field(default_factory=lambda: dict[str, UUID]())

    async def report(self) -> None:
        """Report a few; what cannot be reported now stays for the next time."""
        known = [name.removesuffix("/batch") for name in self.deployments if name.endswith("/batch")]
        now = clock.now()
        for row in await self.engine.write(unreported.take, known, now - STRETCH, now, FEW):
            await self._report(row)
            await self.engine.write(unreported.reported, row.id)

    async def _report(self, row: Any) -> None:
        installation = await self.engine.database.writing(alarms.installation_id)
        try:
            await self.client.create_flow_run_from_deployment(
                self.deployments[f"{row.workflow}/batch"],
                state=_final(row),
                name=row.name,
                tags=[TAG],
                idempotency_key=f"{installation}:{row.id}",
            )
        except ObjectNotFound:
            log.warning("%s has no deployment any more; not reported: %s: %s", row.workflow, row.name, row.message)


def _final(row: Any) -> State[Any]:
    message = f"{row.message} · {_span(row.started_at, row.finished_at)} UTC, without Prefect"
    if row.state == "Failed":
        return Failed(message=message)
    return Completed(name=row.state, message=message)


def _span(start: datetime, end: datetime) -> str:
    return (
        f"{start:%Y-%m-%d %H:%M:%S} to {end:%H:%M:%S}"
        if start.date() == end.date()
        else (f"{start:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S}")
    )
