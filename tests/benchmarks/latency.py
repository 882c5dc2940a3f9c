"""Latency of an idle system: `python -m tests.benchmarks.latency [--events 200] [--runs 20] [--quick] [--alone]`.

Single events, 50 ms apart, from `emit` until the e-mail provider has the call; and runs requested through the Prefect
API one after another, from the request until Prefect says that they ended. On SQLite and on PostgreSQL.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from notify.client import Notify
from tests.benchmarks import crowd, machine
from tests.benchmarks.ending import orderly
from tests.benchmarks.figures import percentiles
from tests.benchmarks.latency_stages import medians
from tests.benchmarks.sink import Sink
from tests.benchmarks.site import POSTGRESQL, SQLITE, System, on_postgresql, on_sqlite
from tests.benchmarks.storage import Storage
from tests.benchmarks.worker import ROOT
from tests.eventually import eventually_sync

WORKFLOW, EVENT = "task-assigned", "task/assigned"
#: Seconds between events, and those that anything may take before it counts as broken.
APART, PATIENCE = 0.05, 120.0
#: What is to be reached, in seconds: the median and the 99th percentile of events, the median of runs.
EVENT_MEDIAN, EVENT_P99, RUN_MEDIAN = 0.25, 1.0, 1.0
WARM_UP = 5


@dataclass
class Latency:
    """One system, measured."""

    system: System
    sink: Sink
    notify: Notify
    people: list[str]

    def all(self, events: int, runs: int) -> None:
        """A warm-up, then both."""
        self._events(self.people[:WARM_UP])
        with httpx.Client(base_url=self.system.api_url, timeout=30) as prefect:
            found = prefect.get(f"/deployments/name/{WORKFLOW}/notify").raise_for_status().json()["id"]
            self._run(prefect, found, self.people[0])
            self._idle(prefect)
            since = datetime.now(UTC)
            waits = self._events(self.people[WARM_UP : WARM_UP + events])
            self._say("emit → the sink has it", waits, {50: EVENT_MEDIAN, 99: EVENT_P99})
            self._idle(prefect)
            print(f"    {medians(self.notify.database, WORKFLOW, since)}", flush=True)
            took = [self._run(prefect, found, person) for person in self.people[:runs]]
            self._say("run requested → Completed", took, {50: RUN_MEDIAN})

    def _events(self, people: Sequence[str]) -> list[float]:
        """One event a person; how long each took."""
        self.sink.reset()
        said: dict[str, float] = {}
        began = time.monotonic()
        for number, person in enumerate(people):
            _pause(began + number * APART - time.monotonic())
            said[person] = time.monotonic()
            self.notify.emit(EVENT, crowd.payload(person))
        arrived = {person: at for person, at in reversed(self.sink.wait(len(people), PATIENCE))}
        return [arrived[person] - at for person, at in said.items()]

    def _run(self, prefect: httpx.Client, deployment: str, person: str) -> float:
        """From the request until the instant that Prefect keeps as its end."""
        asked = datetime.now(UTC)
        parameters = {"payload": crowd.payload(person), "to": [person]}
        made = prefect.post(f"/deployments/{deployment}/create_flow_run", json={"parameters": parameters})
        ended = eventually_sync(_ended(prefect, made.raise_for_status().json()["id"]), "the run ends", within=PATIENCE)
        if ended["state"]["type"] != "COMPLETED":
            raise RuntimeError(f"the run ended as {ended['state']['name']}: {ended['state']['message']}")
        return (datetime.fromisoformat(ended["end_time"]) - asked).total_seconds()

    def _idle(self, prefect: httpx.Client) -> None:
        """No run under way: what was said has been done, and the worker rests."""
        under_way = {"flow_runs": {"state": {"type": {"any_": ["PENDING", "RUNNING"]}}}}

        def quiet() -> bool:
            return prefect.post("/flow_runs/count", json=under_way).raise_for_status().json() == 0

        eventually_sync(quiet, "no run is under way", within=PATIENCE)

    def _say(self, what: str, waits: Sequence[float], aims: dict[int, float]) -> None:
        ordered = sorted(waits)
        verdicts: list[str] = []
        for share, wanted in aims.items():
            reached = ordered[min(len(ordered) - 1, len(ordered) * share // 100)] <= wanted
            verdicts.append(f"p{share} ≤ {1000 * wanted:,.0f} ms {'reached' if reached else 'missed'}")
        print(f"  {what:26}{len(waits):4} × {percentiles(waits)} · aim {', '.join(verdicts)}", flush=True)


def _ended(prefect: httpx.Client, flow_run: str) -> Callable[[], dict[str, dict[str, str]] | None]:
    def look() -> dict[str, dict[str, str]] | None:
        found = prefect.get(f"/flow_runs/{flow_run}").raise_for_status().json()
        return found if found["end_time"] else None

    return look


def _pause(seconds: float) -> None:
    if seconds > 0:
        threading.Event().wait(seconds)


def _alone(folder: Path) -> Path:
    """A folder of flows with nothing but the one workflow: nobody else listens to its event."""
    flows = folder / "flows"
    shutil.copytree(ROOT / "flows" / "templates" / WORKFLOW, flows / "templates" / WORKFLOW)
    for layout in (ROOT / "flows" / "templates").glob("_*.j2"):
        shutil.copy(layout, flows / "templates")
    for name in ("_tasks.py", "task_assigned.py"):
        shutil.copy(ROOT / "flows" / name, flows)
    return flows


def main() -> None:
    """The command."""
    orderly()
    asked = _arguments()
    people = [one for one in crowd.ids(2 * (asked.events + asked.runs + WARM_UP)) if crowd.wants_email(one)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="notify-latency-")))
        storage = stack.enter_context(Storage()) if POSTGRESQL in asked.database else None
        print(machine.header(storage.version if storage else None), flush=True)
        extra = {"NOTIFY_FLOWS": str(_alone(folder))} if asked.alone else {}
        for name in asked.database:
            _measure(asked, name, folder, storage, people, extra)


def _measure(
    asked: argparse.Namespace,
    name: str,
    folder: Path,
    storage: Storage | None,
    people: list[str],
    extra: dict[str, str],
) -> None:
    with ExitStack() as stack:
        sink = stack.enter_context(Sink())
        if storage is not None and name == POSTGRESQL:
            place = stack.enter_context(on_postgresql(folder, storage, sink.url, extra))
        else:
            place = stack.enter_context(on_sqlite(folder, sink.url, extra))
        notify = stack.enter_context(Notify(place.settings))
        crowd.save(notify, people)
        notify.registry.workflow(WORKFLOW)
        system = stack.enter_context(place.working())
        listening = "one workflow listens" if asked.alone else "all shipped workflows listen"
        print(f"{name}, {listening}:", flush=True)
        Latency(system, sink, notify, people).all(asked.events, asked.runs)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.latency", description=__doc__)
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--database", choices=[SQLITE, POSTGRESQL], action="append", help="this one; may be repeated")
    parser.add_argument("--alone", action="store_true", help="with task-assigned as the only workflow")
    parser.add_argument("--quick", action="store_true", help="20 events, 3 runs")
    asked = parser.parse_args()
    asked.database = asked.database or [SQLITE, POSTGRESQL]
    if asked.quick:
        asked.events, asked.runs = 20, 3
    return asked


if __name__ == "__main__":
    main()
