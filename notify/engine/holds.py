"""What an operator holds: a paused work pool holds everything, a paused deployment its workflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.responses import DeploymentResponse

from notify.engine.context import Engine, Held
from notify.engine.pool import POOL

#: Deployments read at once.
PAGE = 200
Say = Callable[[str], None]


@dataclass
class Holds:
    """What Prefect said when it was last asked; the engine begins nothing that is held."""

    client: PrefectClient
    say: Say
    #: Ours, by full name.
    deployments: Mapping[str, UUID] = field(default_factory=lambda: dict[str, UUID]())
    #: Paused deployments, and those of which only so many runs may be at work.
    paused: set[UUID] = field(default_factory=lambda: set[UUID]())
    limited: set[UUID] = field(default_factory=lambda: set[UUID]())

    async def look(self, engine: Engine) -> None:
        """Ask again, let the engine know, and say what changed."""
        pool = await self.client.read_work_pool(POOL)
        found = await self._read()
        self.paused = {one.id for one in found if one.paused}
        self.limited = {one.id for one in found if one.global_concurrency_limit is not None}
        names = {name for name, id_ in self.deployments.items() if id_ in self.paused and _holds(name)}
        held = Held(everything=bool(pool.is_paused), names=frozenset(name.partition("/")[0] for name in names))
        if held != engine.held:
            self._tell(engine.held, held)
            engine.held = held
            engine.bell.set()

    async def _read(self) -> list[DeploymentResponse]:
        ids = list(self.deployments.values())
        found: list[DeploymentResponse] = []
        for some in (ids[start : start + PAGE] for start in range(0, len(ids), PAGE)):
            ours = DeploymentFilter(id=DeploymentFilterId(any_=some))
            found += await self.client.read_deployments(deployment_filter=ours, limit=PAGE)
        return found

    def _tell(self, before: Held, now: Held) -> None:
        if now.everything and not before.everything:
            self.say(f"The work pool {POOL} is paused: nothing is begun until `prefect work-pool resume {POOL}`")
        if before.everything and not now.everything:
            self.say(f"The work pool {POOL} is resumed")
        for name in sorted(now.names - before.names):
            self.say(f"{name} is paused: its notifications wait until its deployment is resumed")
        for name in sorted(before.names - now.names):
            self.say(f"{name} is resumed")


def _holds(deployment: str) -> bool:
    """A paused `cron` deployment only holds its schedule: what it digests goes on collecting."""
    return not deployment.endswith("/cron")
