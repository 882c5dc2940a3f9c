"""Those who wait, on PostgreSQL: `python -m tests.benchmarks.sleepers [--sizes 10000,100000,1000000] [--quick]`.

Notifications of a workflow that awaits `sleep_until`, spread over a year. For each size, with nothing to do: what
worker, Prefect server and database use, how many flow runs are scheduled, and what a probe for work takes. At the
largest size many fall due, within one minute and then all at one instant: how fast they become messages.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from time import monotonic, perf_counter

import httpx
import psycopg

from notify.client import Notify
from notify.engine import local, runtime
from notify.engine.context import Engine
from tests.benchmarks import machine
from tests.benchmarks.ending import orderly
from tests.benchmarks.meanwhile import Peak, resident
from tests.benchmarks.site import OWN_FLOWS, Place, System, on_postgresql
from tests.benchmarks.sleepers_rows import WORKFLOW, Sleepers, differences
from tests.benchmarks.storage import Storage
from tests.eventually import eventually_sync

YEAR, HOUR, MINUTE = timedelta(days=365), timedelta(hours=1), timedelta(minutes=1)
#: Flow runs of one workflow that a worker schedules ahead, as many as are to be there at most; and what is to be
#: reached of a drain, a second.
ARMED, DRAIN = 50, 5000
#: Seconds that a worker gets to come to rest, that anything may take, and between two looks; probes that are timed.
SETTLE, PATIENCE, LOOK, PROBES = 10.0, 900.0, 0.5, 30
_LEFT = """
SELECT (SELECT count(*) FROM notifications
        WHERE environment = 'default' AND workflow = %(w)s AND status = 'waiting' AND wake_at <= %(end)s)
     + (SELECT count(*) FROM notifications WHERE environment = 'default' AND workflow = %(w)s AND status = 'ready')
     + (SELECT count(*) FROM notifications WHERE environment = 'default' AND status = 'running')"""
_DRAINED = """
SELECT count(*), max(n.finished_at),
       percentile_disc(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY m.created_at - (s.value ->> 'until')::timestamptz)
FROM messages m
JOIN notifications n ON n.environment = m.environment AND n.id = m.notification AND n.status = 'completed'
JOIN steps s ON s.environment = m.environment AND s.notification = m.notification AND s.kind = %s
WHERE m.environment = 'default' AND m.created_at >= %s AND m.channel = 'in_app' AND m.status = 'delivered'"""


@dataclass(frozen=True)
class Idle:
    """One size: what waiting costs."""

    size: int
    cpu: float
    memory: float
    scheduled: int
    probe: float


class Site:
    """The database and its sleepers, whoever works on them."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.url = place.variables["NOTIFY_DATABASE_URL"]
        self.sleepers = Sleepers(self.url, {})

    def one(self, query: str, values: object = None) -> tuple:
        """A row."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            found = connection.execute(query.encode(), values).fetchone()
        assert found is not None
        return found

    def learn(self) -> str:
        """Let a worker put one person to sleep, and take its rows as the pattern of all others."""
        with Notify(self.place.settings) as notify, self.place.working():
            payload = {"title": "The dentist", "at": (datetime.now(UTC) + HOUR).isoformat()}
            notify.trigger(WORKFLOW, to=["person-0000000"], payload=payload)
            sleeping = "SELECT count(*) FROM notifications WHERE status = 'waiting'"
            eventually_sync(lambda: self.one(sleeping)[0] == 1, "somebody sleeps", within=PATIENCE)
        query = "SELECT n.id, n.version, s.kind FROM notifications n JOIN steps s ON s.notification = n.id"
        id_, version, kind = self.one(query)
        self.sleepers = Sleepers(self.url, {"version": version, "kind": kind})
        return str(id_)

    def fill(self, size: int) -> None:
        """So many sleepers in all, from an hour ahead on."""
        began = monotonic()
        added = size - self.sleepers.made
        self.sleepers.put(added, datetime.now(UTC) + HOUR, YEAR)
        print(f"{size:,} sleepers ({added:,} made in {monotonic() - began:.0f} s)", flush=True)

    def idle(self, system: System, size: int, seconds: float) -> Idle:
        """Nothing to do, for some time."""
        eventually_sync(self._armed, "the nearest alarms are armed", within=PATIENCE)
        threading.Event().wait(SETTLE)
        cpu = machine.Cpu(system.pids)
        threading.Event().wait(seconds)
        used, others = cpu.spent()
        parts = " · ".join(f"{name} {value:.2f}" for name, value in used.items())
        memory, scheduled, probe = resident(system.worker), _scheduled(system.api_url), self._probe()
        print(f"  CPU seconds in {seconds:.0f} s: {parts}; others {others:.1f}")
        verdict = "reached" if scheduled <= ARMED else "missed"
        print(f"  worker {memory:.0f} MB · {scheduled} scheduled flow runs, aim ≤ {ARMED}: {verdict}")
        print(f"  a probe for work {1000 * probe:.2f} ms", flush=True)
        return Idle(size, sum(used.values()), memory, scheduled, probe)

    def _armed(self) -> bool:
        armed, there = self.one("SELECT count(flow_run), count(*) FROM alarms")
        return armed >= min(ARMED, there)

    def _probe(self) -> float:
        engine = runtime.build(self.place.settings)
        try:
            return asyncio.run(_probes(engine))
        finally:
            engine.database.close()

    def drain(self, system: System, count: int, span: timedelta, lead: timedelta) -> None:
        """So many more, due within `span`; how fast they become messages, from the first instant on."""
        first = datetime.now(UTC) + lead
        self.sleepers.put(count, first, span)
        if datetime.now(UTC) >= first:
            print("  they were made later than they were due: the figures below begin too late; give a longer --lead")
        values = {"w": WORKFLOW, "end": first + span}
        cpu = machine.Cpu(system.pids)
        with Peak(system.worker) as peak:
            left = self._wait(first + span, values)
            eventually_sync(lambda: self._left_after_a_look(values) == 0, "they have drained", within=PATIENCE)
        used, others = cpu.spent()
        told, ended_at, (median, late) = self.one(_DRAINED, [self.sleepers.like["kind"], first])
        if told != count:
            raise RuntimeError(f"{told:,} of {count:,} sleepers got their message")
        self._say(count, span, left, (ended_at - first).total_seconds())
        print(f"    a message after its instant: p50 {median.total_seconds():.2f} s, p99 {late.total_seconds():.2f} s")
        parts = " · ".join(f"{name} {value:.1f}" for name, value in used.items())
        print(f"    CPU seconds: {parts}; others {others:.1f}; worker's peak {peak.megabytes:.0f} MB", flush=True)

    def _say(self, count: int, span: timedelta, left: int, seconds: float) -> None:
        length = span.total_seconds()
        if not length:
            verdict = "reached" if count / seconds >= DRAIN else "missed"
            print(
                f"  {count:,} at one instant: {count / seconds:,.0f}/s in {seconds:.2f} s · aim ≥ {DRAIN:,}: {verdict}"
            )
            return
        asked, done = count / length, (count - left) / length
        after = f"the other {left:,} in {seconds - length:.2f} s" if left else "nobody was left"
        print(f"  {count:,} within {length:.0f} s ({asked:,.0f}/s asked): {done:,.0f}/s during it, {after}")

    def _wait(self, until: datetime, values: dict[str, object]) -> int:
        """Say each ten seconds how many are left; answers how many are when the time has come."""
        while (ahead := (until - datetime.now(UTC)).total_seconds()) > 0:
            threading.Event().wait(min(ahead, 10.0))
            print(f"    {self.one(_LEFT, values)[0]:,} left", flush=True)
        return self.one(_LEFT, values)[0]

    def _left_after_a_look(self, values: dict[str, object]) -> int:
        threading.Event().wait(LOOK)
        return self.one(_LEFT, values)[0]


async def _probes(engine: Engine) -> float:
    """The median of some, after a first."""
    await local.look(engine)
    took: list[float] = []
    for _ in range(PROBES):
        began = perf_counter()
        await local.look(engine)
        took.append(perf_counter() - began)
    return statistics.median(took)


def _scheduled(api_url: str) -> int:
    asked = {"flows": {"name": {"any_": [WORKFLOW]}}, "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    return int(httpx.post(f"{api_url}/flow_runs/count", json=asked, timeout=30).raise_for_status().json())


def _growth(found: list[Idle]) -> str:
    """Each size beside the one before: a cost that grew no more than the sizes did is linear or better."""
    lines = ["of each size the costs, as multiples of the size before:"]
    for before, after in pairwise(found):
        more = after.size / before.size
        grown = {
            "CPU": after.cpu / before.cpu,
            "memory": after.memory / before.memory,
            "probe": after.probe / before.probe,
        }
        words = ", ".join(f"{name} {ratio:.2f} ×" for name, ratio in grown.items())
        verdict = "reached" if max(grown.values()) <= more else "missed"
        lines.append(f"  {after.size:,}, {more:g} × as many: {words} · aim ≤ {more:g} ×: {verdict}")
    return "\n".join(lines)


def main() -> None:
    """The command."""
    orderly()
    asked = _arguments()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="notify-sleepers-")))
        storage = stack.enter_context(Storage())
        print(machine.header(storage.version), flush=True)
        extra = {"NOTIFY_FLOWS": str(OWN_FLOWS)}
        site = Site(stack.enter_context(on_postgresql(folder, storage, "http://127.0.0.1:9", extra)))
        pattern = site.learn()
        found: list[Idle] = []
        for size in asked.sizes:
            site.fill(size)
            unlike = differences(site.url, pattern)
            if unlike:
                raise RuntimeError(f"made unlike what a worker leaves: {', '.join(unlike)}")
            with site.place.working() as system:
                found.append(site.idle(system, size, asked.idle))
                if size == asked.sizes[-1]:
                    for span in (MINUTE if not asked.quick else timedelta(seconds=10), timedelta()):
                        site.drain(system, asked.due, span, timedelta(seconds=asked.lead))
        print(_growth(found))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.sleepers", description=__doc__)
    parser.add_argument("--sizes", default="10000,100000,1000000", help="how many sleep, ascending")
    parser.add_argument("--due", type=int, default=100_000, help="how many fall due, twice, at the largest size")
    parser.add_argument("--idle", type=float, default=60.0, help="seconds of rest that are measured")
    parser.add_argument("--lead", type=float, default=90.0, help="seconds in which those that fall due can be made")
    parser.add_argument("--quick", action="store_true", help="500 and 5,000 sleepers, 1,000 due, 5 s of rest")
    asked = parser.parse_args()
    if asked.quick:
        asked.sizes, asked.due, asked.idle, asked.lead = "500,5000", 1000, 5.0, 15.0
    asked.sizes = [int(size) for size in asked.sizes.split(",")]
    return asked


if __name__ == "__main__":
    main()
