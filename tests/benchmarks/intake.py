"""Intake: `trigger` one by one beside a bare INSERT and its commit, and `emit_many` beside COPY.

python -m tests.benchmarks.intake [--triggers 4000] [--events 100000] [--quick]

The two sides take turns, block by block, so that whatever else the machine does hits both.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from notify.client import Notify
from notify.settings import Settings
from tests.benchmarks import crowd, machine
from tests.benchmarks.ending import orderly
from tests.benchmarks.figures import percentiles
from tests.benchmarks.intake_bare import Bare, BarePostgres, BareSqlite
from tests.benchmarks.storage import Storage
from tests.benchmarks.worker import ROOT

WORKFLOW, EVENT = "task-assigned", "task/assigned"
#: What is to be reached on PostgreSQL. SQLite is for information.
TRIGGER, EMIT_MANY = 0.7, 0.3
#: Calls of one side before it is the other's turn, and events of one.
BLOCK, PAGES = 50, 5000


@dataclass
class Side:
    """The time one side took, block by block, and the CPU time of this process."""

    name: str
    work: Callable[[Sequence[str]], None]
    done: int = 0
    cpu: float = 0.0
    blocks: list[float] = field(default_factory=lambda: list[float]())
    calls: list[float] = field(default_factory=lambda: list[float]())

    def take_turn(self, people: Sequence[str]) -> None:
        """One block."""
        began, used = time.perf_counter(), time.process_time()
        self.work(people)
        self.blocks.append(time.perf_counter() - began)
        self.cpu += time.process_time() - used
        self.done += len(people)

    def forget(self) -> None:
        """What was done so far was a warm-up."""
        self.done, self.cpu = 0, 0.0
        self.blocks.clear()
        self.calls.clear()

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.done / sum(self.blocks)

    @property
    def spread(self) -> str:
        """What one took of this process's CPU and, where calls were timed, of the clock."""
        clock = f"; a call {percentiles(self.calls)}" if self.calls else ""
        return f"   CPU here {1e6 * self.cpu / self.done:,.0f} µs each{clock}"


def compare(ours: Side, bare: Side, people: Sequence[str], block: int, wanted: float | None) -> str:
    """Take turns, each beginning as often as the other; the first turn of both is a warm-up."""
    for number, start in enumerate(range(0, len(people), block)):
        some = people[start : start + block]
        for side in (ours, bare) if number % 2 else (bare, ours):
            side.take_turn(some)
            if number == 0:
                side.forget()
    ratio = ours.rate / bare.rate
    apart = sorted(theirs / mine for mine, theirs in zip(ours.blocks, bare.blocks, strict=True))
    aim = f" · aim ≥ {wanted:g} ×: {'reached' if ratio >= wanted else 'missed'}" if wanted else ""
    lines = [f"  {side.name:24}{side.rate:12,.0f}/s{side.spread}" for side in (ours, bare)]
    quartiles = f"{apart[len(apart) // 4]:.2f} to {apart[len(apart) * 3 // 4]:.2f}"
    return "\n".join([*lines, f"  {ratio:.2f} × (half of the blocks {quartiles}){aim}"])


def one_by_one(name: str, call: Callable[[str], object]) -> Side:
    """A side that does its people one call each, every call timed."""
    side = Side(name, lambda people: None)

    def work(people: Sequence[str]) -> None:
        for person in people:
            began = time.perf_counter()
            call(person)
            side.calls.append(time.perf_counter() - began)

    side.work = work
    return side


def triggers(notify: Notify, bare: Bare, count: int, wanted: float | None) -> str:
    """`trigger` beside INSERT and commit, one connection each."""

    def trigger(person: str) -> None:
        notify.trigger(WORKFLOW, to=[person], payload=crowd.payload(person))

    def insert(person: str) -> None:
        bare.insert("trigger", WORKFLOW, {"to": [{"id": person}], "payload": crowd.payload(person)})

    ours, theirs = one_by_one("trigger", trigger), one_by_one("INSERT and commit", insert)
    return compare(ours, theirs, crowd.ids(count + BLOCK), BLOCK, wanted)


def events(notify: Notify, bare: Bare, count: int, wanted: float | None) -> str:
    """`emit_many` beside COPY (on SQLite executemany)."""
    ours = Side("emit_many", lambda people: _discard(notify.emit_many(_event(person) for person in people)))
    theirs = Side("COPY, one commit a block", lambda people: bare.bulk("event", EVENT, _payloads(people)))
    block = min(PAGES, count // 4)
    return compare(ours, theirs, crowd.ids(count + block), block, wanted)


def _discard(_: object) -> None:
    """Receipts are for applications."""


def _event(person: str) -> Mapping[str, Any]:
    return {"name": EVENT, "data": crowd.payload(person)}


def _payloads(people: Sequence[str]) -> list[dict[str, Any]]:
    return [crowd.payload(person) for person in people]


def main() -> None:
    """The command."""
    orderly()
    asked = _arguments()
    with tempfile.TemporaryDirectory(prefix="notify-intake-") as folder, Storage() as storage:
        print(machine.header(storage.version))
        url = storage.create("notify")
        print("PostgreSQL, fsync and synchronous_commit on:", flush=True)
        _measure(asked, url, BarePostgres(url), TRIGGER, EMIT_MANY)
        file = Path(folder) / "notify.db"
        print("SQLite, synchronous FULL, for information:", flush=True)
        _measure(asked, f"sqlite:///{file}", BareSqlite(str(Path(folder) / "bare.db")), None, None)


def _measure(asked: argparse.Namespace, url: str, bare: Bare, trigger: float | None, emit_many: float | None) -> None:
    settings = Settings.from_env({"NOTIFY_DATABASE_URL": url, "NOTIFY_FLOWS": str(ROOT / "flows")})
    with Notify(settings) as notify:
        notify.registry.workflow(WORKFLOW)
        print(triggers(notify, bare, asked.triggers, trigger), flush=True)
        print(events(notify, bare, asked.events, emit_many), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.intake", description=__doc__)
    parser.add_argument("--triggers", type=int, default=4000)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--quick", action="store_true", help="400 triggers, 8,000 events")
    asked = parser.parse_args()
    if asked.quick:
        asked.triggers, asked.events = 400, 8000
    return asked


if __name__ == "__main__":
    main()
