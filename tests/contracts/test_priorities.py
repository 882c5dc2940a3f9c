"""With a backlog, the more urgent workflow is begun first, and within a workflow the more urgent notification."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from notify.engine import conductor
from notify.engine.conductor import Conductor
from tests.world import World, migrated

IDS = ("low", "normal", "high", "urgent")


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        made.people("ana", "bo")
        yield made


@dataclass
class Recorder:
    """Notes what it is asked for, does nothing, and ends the conductor after its first turn."""

    rung: list[str] = field(default_factory=lambda: list[str]())
    conductor: Conductor | None = None

    async def ring(self, workflow: str) -> None:
        self.rung.append(workflow)

    async def arm(self) -> None:
        assert self.conductor is not None
        self.conductor.stopping.set()


async def test_urgent_workflows_come_first_then_those_of_higher_priority(world: World) -> None:
    source = "".join(
        f"""
@workflow("{id_}", {"urgent=True" if id_ == "urgent" else f'priority="{id_}"'})
async def {id_}(n: Notification[dict[str, Any]]) -> None:
    await n.in_app("news")
"""
        for id_ in IDS
    )
    world.workflow(source, *(f"{id_}/news.in_app" for id_ in IDS))
    for id_ in IDS:
        world.trigger(id_, ["ana"])
    recorder = Recorder()
    recorder.conductor = Conductor(world.engine, recorder)

    await recorder.conductor.run()

    assert len(IDS) <= conductor.SIDE_BY_SIDE
    assert recorder.rung == ["urgent", "high", "normal", "low"]
