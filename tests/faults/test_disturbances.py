"""A process that goes on: each of its statements fails once, and its work is cancelled at each of its steps."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, exc

from notify.errors import StoreUnavailable
from tests.faults.crash_load import PHASES, End, differences, play, violations
from tests.faults.stepping import run_stepped
from tests.faults.twins import Twin, later
from tests.world import World


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def twin(request: pytest.FixtureRequest, tmp_path: Path) -> Twin:
    return Twin.of(request, tmp_path, request.param)


class FailingOnce:
    """The database fails at each statement the first time it is asked for in a phase."""

    def __init__(self, world: World) -> None:
        self.phase = 0
        self.over = False
        self.failed: set[tuple[int, str]] = set()
        for engine in world.engine.database.engines:
            event.listen(engine, "before_cursor_execute", self._fail)

    def _fail(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not self.over and (self.phase, statement) not in self.failed:
            self.failed.add((self.phase, statement))
            raise exc.OperationalError(statement, None, sqlite3.OperationalError("the disk hiccups"))


def test_each_statement_may_fail_once(twin: Twin) -> None:
    undisturbed = twin.undisturbed()
    with twin.world() as world:
        failing = FailingOnce(world)
        for failing.phase in range(len(PHASES)):
            _until_done(world, failing.phase)
        failing.over = True
        found = [*violations(world), *differences(End.of(world), undisturbed)]

    print(f"\n{len(failing.failed)} statements failed")
    assert found == []
    assert len(failing.failed) > 100


def _until_done(world: World, phase: int) -> None:
    """As a worker does: an error of the world is met again, and what was left claimed is put back by the sweep."""
    for _ in range(1000):
        with suppress(StoreUnavailable):
            later(world)
            play(world, phase)
            return
    pytest.fail(f"phase {phase} never came to its end")


class Cancelling:
    """Cancels the work at its first step, when it is begun again at its second, and so on."""

    def __init__(self) -> None:
        self.at = self._left = 0
        self._task: asyncio.Task[Any] | None = None

    def run(self, work: Coroutine[Any, Any, Any]) -> None:
        """Until the work comes to its end before it is cancelled."""
        self.at += 1
        self._left = self.at
        run_stepped(self._cancellable(work), self._step)

    async def _cancellable(self, work: Coroutine[Any, Any, Any]) -> None:
        self._task = asyncio.current_task()
        await work

    def _step(self) -> None:
        self._left -= 1
        if self._left <= 0 and self._task is not None and not self._task.cancelling():
            self._task.cancel()


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")  # those of tasks cancelled before their first step
def test_the_work_may_be_cancelled_at_each_step(twin: Twin) -> None:
    undisturbed = twin.undisturbed()
    cancelled = 0
    with twin.world() as world:
        for phase in range(len(PHASES)):
            cancelled += _cancelled_until_done(world, phase)
        end = End.of(world)
        found = [*violations(world), *differences(end, undisturbed)]

    print(f"\ncancelled {cancelled} times, {len(end.unknown)} calls unknown")
    assert found == []
    assert cancelled > 50


def _cancelled_until_done(world: World, phase: int) -> int:
    cancelling = Cancelling()
    while True:
        with suppress(asyncio.CancelledError):
            later(world)
            play(world, phase, cancelling.run)
            return cancelling.at
