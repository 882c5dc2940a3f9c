"""Digests, on PostgreSQL: `python -m tests.benchmarks.digest [--sizes 10000,100000,1000000] [--quick] [--profile]`.

A hundred events a window, into their windows and out as one in-app message and one e-mail each. Nobody moves or holds
a clock: the events happened an hour ago within ten minutes, and a window lasts fifteen, as after an outage. So every
window is over when it opens, but none may close before the last event is matched and has joined, for any of those
might be one of its own; after that all of them close. It is the harder way to digest: whoever looks for work finds
windows past their end each time, and must make sure that nobody may still join them.

Three phases, one after the other: intake, while the worker stands still; matching and joining, from when it goes on
until the first window closes; closing and sending, until the last message is recorded. A small load of the same kind
goes before, and the database has statistics: no size pays for a cold start. Each size has a worker, a Prefect server
and databases of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from notify.client import Notify
from tests.benchmarks import crowd_rows, digest_load, machine
from tests.benchmarks.digest_figures import Digested, Phase, growth
from tests.benchmarks.digest_rows import Rows
from tests.benchmarks.ending import orderly
from tests.benchmarks.meanwhile import Pace, Peak, resident
from tests.benchmarks.sampling import Sampler
from tests.benchmarks.sink import Sink
from tests.benchmarks.site import OWN_FLOWS, System, on_postgresql
from tests.benchmarks.storage import Storage
from tests.eventually import eventually_sync

#: Events that go before, how long ago the events happened, and by how much the first ones happened before that.
WARM_UP, AGO, EARLIER = 2000, timedelta(hours=1), timedelta(hours=1)
#: Seconds a size may take: some, and one for so many events. Between two looks for its end, and at rest after it.
PATIENCE, SLOWEST, LOOK, REST = 120.0, 300, 0.1, 20.0


@dataclass
class Size:
    """One size at one system."""

    system: System
    sink: Sink
    storage: Storage
    connection: psycopg.Connection
    events: int

    @property
    def patience(self) -> float:
        """Seconds after which it counts as broken."""
        return PATIENCE + self.events / SLOWEST

    def warm_up(self) -> None:
        """Some events all the way, and statistics as a database has that has been at work."""
        rows = Rows(self.connection, datetime.now(UTC))
        self._say(WARM_UP, "Draft", AGO + EARLIER)
        self._until(rows.is_over, "the first events are through")
        rows.check(WARM_UP)
        self.connection.execute("VACUUM ANALYZE")

    def run(self, profile: Path | None) -> Digested:
        """All three phases."""
        self.sink.reset()
        before, began = resident(self.system.worker), datetime.now(UTC)
        rows = Rows(self.connection, began)
        with stopped(self.system.worker):
            intake = self._phase("intake", lambda: self._say(self.events, "Page", AGO))
            goes_on = datetime.now(UTC)
        with Sampler(self.system.worker, profile) if profile else nullcontext() as sampler:
            joining = self._phase("match and join", lambda: self._until(rows.is_joined, "all of them wait in a window"))
            closing = self._phase("close and send", lambda: self._until(rows.is_over, "all of them are told"))
        if isinstance(sampler, Sampler):
            print(sampler.report())
        closes, ended = rows.instants()
        phases = [
            intake,
            joining.lasting((closes - goes_on).total_seconds()),
            closing.lasting((ended - closes).total_seconds()),
        ]
        self._check(rows)
        return Digested(self.events, phases, before, self._after())

    def _phase(self, name: str, work: Callable[[], float | None]) -> Phase:
        """Do it; it says how long it took, or that is known later."""
        self.storage.forget_statements()
        cpu = machine.Cpu(self.system.pids)
        with Peak(self.system.worker) as peak, Pace() as pace:
            seconds = work()
        used, others = cpu.spent()
        statements = self.storage.statements("notify")[1]
        return Phase(name, self.events, seconds or 0.0, used, others, statements, peak.megabytes, pace.seconds)

    def _say(self, events: int, name: str, ago: timedelta) -> float:
        first = datetime.now(UTC) - ago
        command = [sys.executable, "-m", "tests.benchmarks.digest_load", str(events), name, first.isoformat()]
        variables = self.system.place.variables
        said = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=self.patience)
        if said.returncode:
            raise RuntimeError(f"the application ended with {said.returncode}: {said.stderr[-2000:]}")
        return float(json.loads(said.stdout)["seconds"])

    def _until(self, holds: Callable[[], bool], what: str) -> None:
        """Look some times a second: looking costs the database something as well."""

        def look() -> bool:
            threading.Event().wait(LOOK)
            return holds()

        eventually_sync(look, what, within=self.patience)

    def _check(self, rows: Rows) -> None:
        rows.check(self.events)
        windows = digest_load.windows(self.events)
        letters = len(self.sink.wait(windows, 10))
        if letters != windows:
            raise RuntimeError(f"{letters:,} e-mails for {windows:,} windows")
        command = [sys.executable, "-m", "notify.cli", "audit"]
        audit = subprocess.run(command, env=self.system.place.variables, capture_output=True, text=True, timeout=600)
        if audit.returncode:
            raise RuntimeError(f"the audit is not clean: {audit.stdout[-2000:]}{audit.stderr[-2000:]}")

    def _after(self) -> float:
        threading.Event().wait(REST)
        return resident(self.system.worker)


@contextmanager
def stopped(pid: int) -> Generator[None]:
    """The process stands still for the length of the block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def measure(folder: Path, storage: Storage, events: int, profile: Path | None) -> Digested:
    """One size, from nothing."""
    with ExitStack() as stack:
        sink = stack.enter_context(Sink())
        place = stack.enter_context(on_postgresql(folder, storage, sink.url, {"NOTIFY_FLOWS": str(OWN_FLOWS)}))
        url = place.variables["NOTIFY_DATABASE_URL"]
        stack.enter_context(Notify(place.settings))
        crowd_rows.put(url, digest_load.people(max(events, WARM_UP)))
        connection = stack.enter_context(psycopg.connect(url, autocommit=True))
        size = Size(stack.enter_context(place.working()), sink, storage, connection, events)
        size.warm_up()
        return size.run(profile)


def main() -> None:
    """The command."""
    orderly()
    asked = _arguments()
    with tempfile.TemporaryDirectory(prefix="notify-digest-") as folder, Storage() as storage:
        print(machine.header(storage.version), flush=True)
        found: list[Digested] = []
        for events in asked.sizes:
            profile = Path(tempfile.gettempdir()) / f"notify-digest-{events}.txt" if asked.profile else None
            found.append(measure(Path(folder) / str(events), storage, events, profile))
            print(found[-1].lines(), flush=True)
    print(growth(found))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.digest", description=__doc__)
    sizes = "thousands of events, ascending"
    parser.add_argument("--sizes", type=_sizes, default="10000,100000,1000000", help=sizes)
    parser.add_argument("--profile", action="store_true", help="with py-spy beside the worker")
    parser.add_argument("--quick", action="store_true", help="1,000 and 5,000 events")
    asked = parser.parse_args()
    if asked.quick:
        asked.sizes = [1000, 5000]
    return asked


def _sizes(text: str) -> list[int]:
    sizes = [int(size) for size in text.split(",")]
    if sizes != sorted(sizes) or any(size < 1000 or size % 1000 for size in sizes):
        raise argparse.ArgumentTypeError(f"{text} is not thousands of events, ascending: 10000,100000")
    return sizes


if __name__ == "__main__":
    main()
