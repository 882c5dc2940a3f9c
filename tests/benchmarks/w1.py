"""W1: one notification each for 2,000 distinct people, from the first trigger to the last recorded 202.

python -m tests.benchmarks.w1 [--only notify] [--people 2000] [--threads 4] [--quick] [--profile]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks import machine, w1_notify
from tests.benchmarks.ending import orderly
from tests.benchmarks.figures import Figures, best
from tests.benchmarks.prefect_server import PrefectServer
from tests.benchmarks.sink import Sink
from tests.benchmarks.storage import Storage
from tests.benchmarks.w1_peers import PEERS, Running

SYSTEMS = ("notify", *PEERS)
#: What notify is to reach, as a multiple of the other; and what it may not fall below.
AIMS = {"dbos": (20.0, 10.0), "procrastinate": (6.0, 3.0), "limit": (0.6, None)}
RATE = 2500


class Run:
    """One run of the command: what is asked for, and the places it happens at."""

    def __init__(self, asked: argparse.Namespace, folder: Path, storage: Storage, sink: Sink) -> None:
        self.asked, self.folder, self.storage, self.sink = asked, folder, storage, sink
        self.runs: dict[str, list[Figures]] = {name: [] for name in SYSTEMS if name in asked.only}

    def all(self) -> None:
        """Round after round, each system once in each: a machine that grows slow meanwhile is slow for all of them."""
        for _ in range(self.asked.rounds):
            if {"notify", "prefect"} & self.runs.keys():
                with PrefectServer(self.folder, self.storage.create("prefect_server")) as server:
                    if "notify" in self.runs:
                        self._notify(server)
                    if "prefect" in self.runs:
                        self._peer("prefect", server)
            for name in PEERS:
                if name in self.runs and name != "prefect":
                    self._peer(name)
        for name, runs in self.runs.items():
            print(f"{name}, the best:\n{best(runs).details()}")

    def _notify(self, server: PrefectServer) -> None:
        with w1_notify.site(self.folder, self.storage, server, self.sink, self.asked.people) as site:
            self._measure("notify", site.run, self.asked.people)
            if self.asked.profile and len(self.runs["notify"]) == self.asked.rounds:
                output = Path(tempfile.gettempdir()) / "notify-w1-profile.txt"
                print(w1_notify.profile(site, self.asked.people, self.asked.threads, output), flush=True)

    def _peer(self, name: str, server: PrefectServer | None = None) -> None:
        with Running(PEERS[name], self.storage, self.sink, self.asked.people, server) as running:
            self._measure(name, running.run, running.people)

    def _measure(self, name: str, run: Callable[[int, int], Figures], people: int) -> None:
        """Nothing but this system is at work: a warm-up with a tenth of the people, then a run."""
        run(max(people // 10, 1), self.asked.threads)
        self.runs[name].append(run(people, self.asked.threads))
        print(f"{name:15}{self.runs[name][-1].line()}", flush=True)

    def table(self) -> str:
        """Each system beside notify, and what was to be reached."""
        if "notify" not in self.runs:
            return ""
        found = {name: best(runs) for name, runs in self.runs.items()}
        notify = found["notify"]
        lines = ["", f"{'system':15}{'notifications/s':>16}{'notify is':>12}{'CPU ms each':>13}{'of notify':>11}   aim"]
        for name, figures in found.items():
            ratio, cost = notify.rate / figures.rate, figures.cost / notify.cost
            beside = f"{ratio:>10,.2f} ×{figures.cost:>13.2f}{cost:>9,.2f} ×"
            lines.append(f"{name:15}{figures.rate:>16,.0f}{beside}   {_aim(name, ratio, notify.rate)}")
        return "\n".join(lines)


def _aim(name: str, ratio: float, rate: float) -> str:
    if name == "notify":
        return f"≥ {RATE:,}/s: {_verdict(rate, RATE)}"
    if name not in AIMS:
        return ""
    aim, floor = AIMS[name]
    least = f"; floor ≥ {floor:g} ×: {_verdict(ratio, floor)}" if floor else ""
    return f"≥ {aim:g} ×: {_verdict(ratio, aim)}{least}"


def _verdict(reached: float, wanted: float) -> str:
    return "reached" if reached >= wanted else "missed"


def main() -> None:
    """The command."""
    orderly()
    asked = _arguments()
    with tempfile.TemporaryDirectory(prefix="notify-w1-") as folder, Storage() as storage, Sink() as sink:
        print(machine.header(storage.version))
        print(
            f"w1: {asked.people:,} people, {asked.threads} threads that ask, best of {asked.rounds} in turns, each"
            " after a warm-up; fsync and synchronous_commit on",
            flush=True,
        )
        logs = asked.logs or Path(folder)
        logs.mkdir(parents=True, exist_ok=True)
        run = Run(asked, logs, storage, sink)
        run.all()
        print(run.table())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.w1", description=__doc__)
    parser.add_argument("--only", choices=SYSTEMS, action="append", help="measure this system; may be repeated")
    parser.add_argument("--people", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=4, help="from which the application asks")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, of which the best counts")
    parser.add_argument("--quick", action="store_true", help="200 people, one run")
    parser.add_argument("--profile", action="store_true", help="one more run with py-spy beside the worker")
    parser.add_argument("--logs", type=Path, help="a folder to leave the logs of worker and Prefect server in")
    asked = parser.parse_args()
    asked.only = asked.only or list(SYSTEMS)
    if asked.quick:
        asked.people, asked.rounds = 200, 1
    return asked


if __name__ == "__main__":
    main()
