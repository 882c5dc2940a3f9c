"""W2: a broadcast of one in-app message: `python -m tests.benchmarks.broadcast [--sizes 10000,100000] [--quick]`.

On PostgreSQL with a real worker and Prefect server. The clock runs from the call until the last notification has
ended. Beside it, in turns, the same by hand with COPY. Also: the most memory the worker had, and the seconds until the
first person can read theirs.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from uuid import uuid4

import psycopg

from notify.client import Notify
from tests.benchmarks import crowd_rows, machine
from tests.benchmarks.broadcast_bare import Pipeline
from tests.benchmarks.ending import orderly
from tests.benchmarks.meanwhile import Peak, resident
from tests.benchmarks.site import OWN_FLOWS, Place, System, on_postgresql
from tests.benchmarks.storage import Storage
from tests.eventually import eventually_sync

WORKFLOW, STEP = "announcement", "news"
PAYLOAD = {"title": "The house is painted", "text": "From Monday on the doors are green, and the lift works again."}
#: Seconds a broadcast may take before it counts as broken, and those between two looks for its end.
PATIENCE, LOOK = 600.0, 0.1
#: What is to be reached: a share of the pipeline's rate, megabytes, how much more at the most than at the fewest
#: people counts as flat, and the seconds until the first page can be read.
RATIO, MEMORY, FLAT, READABLE = 0.5, 400.0, 1.25, 1.0
_WORK_LEFT = """
SELECT NOT EXISTS (SELECT FROM fanouts WHERE transaction_id = %(id)s)
    OR EXISTS (SELECT FROM fanouts WHERE transaction_id = %(id)s AND state = 'open')
    OR EXISTS (SELECT FROM notifications WHERE environment = 'default' AND workflow = %(workflow)s AND status = 'ready')
    OR EXISTS (SELECT FROM notifications WHERE environment = 'default' AND status = 'running')"""
_ENDED = """
SELECT count(*) FILTER (WHERE status = 'completed'), max(finished_at)
FROM notifications WHERE environment = 'default' AND transaction_id = %s"""


@dataclass(frozen=True)
class Sent:
    """One broadcast: how long it took, what it cost, and when the first person could read theirs."""

    people: int
    seconds: float
    readable: float
    peak: float
    cpu: str

    @property
    def rate(self) -> float:
        """People a second."""
        return self.people / self.seconds


class Reader:
    """Looks into one person's inbox until something new is there."""

    def __init__(self, notify: Notify) -> None:
        self.inbox = notify.inbox(crowd_rows.FIRST)
        self.before = self.inbox.count()
        self.at: float | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stopped.wait(0.02):
            if self.inbox.count() > self.before:
                self.at = monotonic()
                return


def send(system: System, notify: Notify, people: int) -> Sent:
    """Call `broadcast`, and wait until everybody has theirs."""
    cpu = machine.Cpu(system.pids)
    transaction = str(uuid4())
    with Reader(notify) as reader, Peak(system.worker) as peak:
        called_at, began = datetime.now(UTC), monotonic()
        notify.broadcast(WORKFLOW, payload=PAYLOAD, transaction_id=transaction)
        with psycopg.connect(str(system.place.variables["NOTIFY_DATABASE_URL"]), autocommit=True) as connection:
            _paced(lambda: not _one(connection, _WORK_LEFT, {"id": transaction, "workflow": WORKFLOW})[0])
            completed, ended_at = _one(connection, _ENDED, [transaction])
        eventually_sync(lambda: reader.at, "the first person can read theirs")
    if completed != people:
        raise RuntimeError(f"{completed:,} of {people:,} notifications completed")
    used, others = cpu.spent()
    spent = " · ".join(f"{name} {seconds:.1f}" for name, seconds in used.items())
    seconds = (ended_at - called_at).total_seconds()
    return Sent(people, seconds, (reader.at or 0.0) - began, peak.megabytes, f"{spent}; others {others:.1f}")


def _paced(done: Callable[[], bool]) -> None:
    """Look some times a second: looking costs the database something as well."""

    def look() -> bool:
        threading.Event().wait(LOOK)
        return done()

    eventually_sync(look, "everybody has theirs", within=PATIENCE)


def _one(connection: psycopg.Connection, query: str, values: object) -> tuple:
    found = connection.execute(query.encode(), values).fetchone()
    assert found is not None
    return found


def by_hand(pipeline: Pipeline, storage: Storage, people: int) -> float:
    """People a second."""
    cpu = machine.Cpu({"pipeline": os.getpid(), "PostgreSQL": storage.pid})
    seconds = pipeline.run(PAYLOAD)
    used, others = cpu.spent()
    spent = " · ".join(f"{name} {value:.1f}" for name, value in used.items())
    print(
        f"  by hand {people / seconds:12,.0f}/s   {seconds:.2f} s; CPU seconds: {spent}; others {others:.1f}",
        flush=True,
    )
    return people / seconds


def measure(place: Place, storage: Storage, bare_url: str, people: int, rounds: int) -> tuple[float, float]:
    """A fresh worker; both sides in turns, of which the best counts. Returns the ratio and the worker's peak."""
    for url in (place.variables["NOTIFY_DATABASE_URL"], bare_url):
        crowd_rows.put(url, people)
    pipeline = Pipeline(bare_url, WORKFLOW, STEP, place.settings.app_url)
    ours: list[Sent] = []
    theirs: list[float] = []
    with Notify(place.settings) as notify, place.working() as system:
        before = resident(system.worker)
        print(f"{people:,} people; the worker has {before:.0f} MB before:", flush=True)
        for _ in range(rounds):
            sent = send(system, notify, people)
            ours.append(sent)
            print(
                f"  notify  {sent.rate:12,.0f}/s   {sent.seconds:.2f} s; first readable after {sent.readable:.2f} s;"
                f" worker's peak {sent.peak:.0f} MB; CPU seconds: {sent.cpu}",
                flush=True,
            )
            theirs.append(by_hand(pipeline, storage, people))
    ratio, peak = max(one.rate for one in ours) / max(theirs), max(one.peak for one in ours)
    first = min(one.readable for one in ours)
    print(f"  {ratio:.2f} × the pipeline · aim ≥ {RATIO:g} ×: {_verdict(ratio >= RATIO)}")
    print(f"  first readable after {first:.2f} s · aim ≤ {READABLE:g} s: {_verdict(first <= READABLE)}")
    return ratio, peak


def _verdict(reached: bool) -> str:
    return "reached" if reached else "missed"


def main() -> None:
    """The command."""
    orderly()
    asked = _arguments()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="notify-broadcast-")))
        storage = stack.enter_context(Storage())
        print(machine.header(storage.version), flush=True)
        extra = {"NOTIFY_FLOWS": str(OWN_FLOWS)}
        place = stack.enter_context(on_postgresql(folder, storage, "http://127.0.0.1:9", extra))
        bare_url = storage.create("by_hand")
        with Notify(place.settings):
            Pipeline(bare_url, WORKFLOW, STEP, "")
        peaks = {size: measure(place, storage, bare_url, size, asked.rounds)[1] for size in asked.sizes}
    most, least = max(peaks.values()), min(peaks.values())
    each = ", ".join(f"{peak:.0f} MB at {size:,}" for size, peak in peaks.items())
    flat = f", flat: {_verdict(most <= FLAT * least)}" if len(peaks) > 1 else ""
    print(f"worker's peak: {each} · aim ≤ {MEMORY:.0f} MB: {_verdict(most <= MEMORY)}{flat}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.broadcast", description=__doc__)
    parser.add_argument("--sizes", default="10000,100000", help="people, ascending: each time some are added")
    parser.add_argument("--rounds", type=int, default=2, help="broadcasts of each side and size; the best counts")
    parser.add_argument("--quick", action="store_true", help="500 and 2,000 people, one round")
    asked = parser.parse_args()
    if asked.quick:
        asked.sizes, asked.rounds = "500,2000", 1
    asked.sizes = [int(size) for size in asked.sizes.split(",")]
    return asked


if __name__ == "__main__":
    main()
