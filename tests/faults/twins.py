"""The same stored load twice: one is worked on undisturbed, the other meets a fault."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa

from notify.engine import sweep
from tests.faults.crash_load import PHASES, End, expire, play, prepare
from tests.world import World, migrated


class Twin:
    """`undisturbed` is what the first comes to; `second` is the URL of the other."""

    def __init__(self, folder: Path, first: str, second: str) -> None:
        self.folder, self.first, self.second = folder, first, second

    @staticmethod
    def of(request: pytest.FixtureRequest, folder: Path, kind: str) -> Twin:
        """Two databases of this kind (`sqlite`, `postgresql`)."""
        first = migrated(request, kind)
        with World(folder, first) as world:
            prepare(world)
        if kind == "postgresql":
            return Twin(folder, first, request.getfixturevalue("make_database")(sa.make_url(first).database))
        shutil.copy(sa.make_url(first).database or "", folder / "second.db")
        return Twin(folder, first, f"sqlite:///{folder / 'second.db'}")

    def world(self) -> World:
        """A process that finds the second."""
        return World(self.folder, self.second)

    def undisturbed(self) -> End:
        """What the load comes to."""
        with World(self.folder, self.first) as world:
            for phase in range(len(PHASES)):
                play(world, phase)
            return End.of(world)


def later(world: World) -> None:
    """Leases have run out, and the sweep has put back what was held."""
    expire(world)
    asyncio.run(sweep.sweep_rows(world.engine))
