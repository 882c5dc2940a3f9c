"""With a backlog, the more urgent workflow is begun first, and within a workflow the more urgent notification."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from notify.engine import conductor
from notify.engine.aside import Aside
from notify.engine.conductor import Conductor
from notify.engine.context import Engine
from notify.engine.ledger import Ledger
from notify.engine.presence import Presence
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
        assert self.conductor is not None
        self.rung.append(workflow)
        self.conductor.stopping.set()

    async def arm(self) -> None:
        """Nobody waits."""


class Own(Aside):
    """The worker's own lane, of which the recorder notes what it is asked for as well."""

    def __init__(self, engine: Engine, recorder: Recorder) -> None:
        super().__init__(engine, Ledger(engine, lambda *_: {}))
        self.recorder = recorder

    async def ring(self, workflow: str) -> None:
        await self.recorder.ring(workflow)


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
    recorder.conductor = Conductor(world.engine, recorder, Own(world.engine, recorder), Presence())

    await recorder.conductor.run()

    assert len(IDS) <= conductor.SIDE_BY_SIDE
    assert recorder.rung == ["urgent", "high", "normal", "low"]


async def test_whoever_waited_for_long_goes_first_whatever_its_priority(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = ("low", *(f"high-{place}" for place in range(conductor.SIDE_BY_SIDE)))
    source = "".join(
        f"""
@workflow("{id_}", priority="{id_.partition("-")[0]}")
async def {id_.replace("-", "_")}(n: Notification[dict[str, Any]]) -> None:
    await n.in_app("news")
"""
        for id_ in ids
    )
    world.workflow(source, *(f"{id_}/news.in_app" for id_ in ids))
    for id_ in ids:
        world.trigger(id_, ["ana"])
    recorder = Recorder()
    recorder.conductor = Conductor(world.engine, recorder, Own(world.engine, recorder), Presence())
    await recorder.conductor.run()
    assert "low" not in recorder.rung

    monkeypatch.setattr(conductor, "FAIR", 0.0)
    recorder.rung.clear()
    recorder.conductor.stopping.clear()
    await recorder.conductor.run()

    assert recorder.rung[0] == "low"
