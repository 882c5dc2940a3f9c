"""What an operator holds: a paused work pool holds everything, a paused deployment its workflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.orchestration.routes import ServerRoutes

from notify.engine.context import Engine, Held
from notify.engine.pool import POOL

#: Paused deployments, and limits, read at once.
PAGE = 200
#: What Prefect calls the limit of a deployment, before its id.
_LIMIT = "deployment:"
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
        self.paused = await self._paused()
        self.limited = await self._limited()
        names = {name for name, id_ in self.deployments.items() if id_ in self.paused and _holds(name)}
        held = Held(everything=bool(pool.is_paused), names=frozenset(name.partition("/")[0] for name in names))
        if held != engine.held:
            self._tell(engine.held, held)
            engine.held = held
            engine.bell.set()

    async def _paused(self) -> set[UUID]:
        """Only what is paused is read: Prefect takes long over a deployment with schedules."""
        found = await self._listed("/deployments/filter", deployments={"paused": {"eq_": True}})
        return {UUID(one["id"]) for one in found} & set(self.deployments.values())

    async def _limited(self) -> set[UUID]:
        names = [one["name"] for one in await self._listed("/v2/concurrency_limits/filter")]
        return {UUID(name.removeprefix(_LIMIT)) for name in names if name.startswith(_LIMIT)}

    async def _listed(self, path: ServerRoutes, **filters: Any) -> list[dict[str, Any]]:
        """The server's own words: the client's models lack some of them."""
        found: list[dict[str, Any]] = []
        while len(found) % PAGE == 0:
            page = {**filters, "limit": PAGE, "offset": len(found)}
            some = (await self.client.request("POST", path, json=page)).json()
            if not some:
                break
            found += some
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
