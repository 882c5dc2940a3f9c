"""A crash at every statement, commit, await and call of a small load: another process brings it to the same end.

Only what is committed and what the outside world received survive a process. So the load is run once, and at each
point both are kept, whenever they differ from the point before; then every kept moment is the start of a process
that has nothing else.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from notify.channels.memory import MemoryProvider
from notify.model import Channel, Dispatch, Outcome, OutcomeKind
from tests.faults.crash_load import PHASES, End, differences, outside, play, prepare, recover, violations
from tests.faults.stepping import run_stepped
from tests.world import World


@dataclass(frozen=True)
class Moment:
    """What a crash at some point leaves behind."""

    phase: int
    file: Path
    received: dict[Channel, list[Dispatch]]


@dataclass
class Recorder:
    """Looks at the world at every point, and keeps each moment that differs from the ones before."""

    world: World
    folder: Path
    phase: int = 0
    points: int = 0
    moments: list[Moment] = field(default_factory=list)
    _seen: set[tuple[int, int, int]] = field(default_factory=set)
    _lock: Any = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self._file = sa.make_url(self.world.settings.database_url).database or ""
        self._watcher = sqlite3.connect(self._file, check_same_thread=False)

    def note(self, *_: Any) -> None:
        """A point at which the process might end."""
        with self._lock:
            self.points += 1
            while (now := self._now()) not in self._seen:
                moment = self._moment()
                if self._now() == now:  # else somebody went on meanwhile: what was read is no moment
                    self._seen.add(now)
                    self.moments.append(moment)

    def _now(self) -> tuple[int, int, int]:
        version = self._watcher.execute("PRAGMA data_version").fetchone()[0]
        return self.phase, version, len(outside(self.world))

    def _moment(self) -> Moment:
        file = self.folder / f"{len(self.moments)}.db"
        file.unlink(missing_ok=True)
        received = {channel: list(provider.accepted) for channel, provider in self.world.providers.items()}
        with sqlite3.connect(file) as copy:
            self._watcher.backup(copy)
        copy.close()
        return Moment(self.phase, file, received)

    def listen(self) -> None:
        """Note each statement before and after, and each commit."""
        for engine in self.world.engine.database.engines:
            for name in ("before_cursor_execute", "after_cursor_execute", "commit"):
                event.listen(engine, name, self.note)

    def run(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run `work`, noting each step of every coroutine."""
        run_stepped(work, self.note)


class Watched(MemoryProvider):
    """A provider whose calls are noted before they leave and after they were answered."""

    def __init__(self, channel: Channel, note: Callable[[], None]) -> None:
        super().__init__(channel, self._answered)
        self._note = note

    def _answered(self, dispatch: Dispatch) -> Outcome:
        self._note()
        return Outcome(OutcomeKind.ACCEPTED, provider_message_id=dispatch.id)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    """The undisturbed run, and every moment at which it could have ended."""
    folder = tmp_path_factory.mktemp("crash")
    with World(folder, f"sqlite:///{folder / 'notify.db'}") as world:
        prepare(world)
        recorder = Recorder(world, folder)
        recorder.listen()
        for channel in list(world.providers):  # the engine's as well
            world.providers[channel] = Watched(channel, recorder.note)
        for recorder.phase in range(len(PHASES)):
            play(world, recorder.phase, recorder.run)
        yield recorder


def test_the_undisturbed_run_uses_all_there_is(watched: Recorder) -> None:
    end = End.of(watched.world)

    assert violations(watched.world) == []
    assert {row[3:] for row in end.rows["notifications"]} == {
        ("completed", None),
        ("merged", "merged_into_digest"),
        ("cancelled", "cancelled"),
        ("completed", "throttled"),
        ("completed", "nothing_sent"),
    }
    assert {kind for _, _, kind, _, _ in end.rows["steps"]} == {
        "run",
        "sleep",
        "emit",
        "digest",
        "recheck",
        "throttle",
        "waitforevent",
        "invoke",
    }
    assert {message[1] for message in end.messages.values()} == {"in_app", "email", "push"}
    assert set(end.accepted.values()) == {1}
    assert end.unknown == {}


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.long)])
def test_whatever_survives_a_crash_comes_to_the_same_end(watched: Recorder, tmp_path: Path, every: int) -> None:
    undisturbed = End.of(watched.world)
    wrong: list[str] = []
    crashes: Counter[str] = Counter()
    for moment in watched.moments[::every]:
        with _resumed(moment, watched.world, tmp_path) as world:
            recover(world, moment.phase)
            end = End.of(world)
            found = [*violations(world), *differences(end, undisturbed)]
        wrong += [f"{moment.file.name} in phase {moment.phase}: {one}" for one in found]
        crashes["with an unknown call"] += bool(end.unknown)
        crashes["with a second send"] += any(count > 1 for count in end.accepted.values())

    print(f"\n{watched.points} points, {len(watched.moments)} different moments, one in {every}: {dict(crashes)}")
    assert wrong == []
    assert crashes["with an unknown call"] >= crashes["with a second send"] >= 1


@contextmanager
def _resumed(moment: Moment, lost: World, folder: Path) -> Iterator[World]:
    """A new process that finds what the lost one left."""
    with World(folder, f"sqlite:///{moment.file}", flows=lost.flows) as world:
        for channel, received in moment.received.items():
            world.providers[channel].accepted = list(received)
        yield world
