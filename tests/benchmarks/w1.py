"""W1: one notification each for 2,000 distinct people, from the first trigger to the last recorded 202.

python -m tests.benchmarks.w1 [--only notify] [--people 2000] [--threads 4] [--quick] [--profile]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.benchmarks import machine, w1_notify
from tests.benchmarks.figures import best
from tests.benchmarks.sink import Sink
from tests.benchmarks.storage import Storage

SYSTEMS = ("notify",)


def main() -> None:
    """The command."""
    asked = _arguments()
    with tempfile.TemporaryDirectory(prefix="notify-w1-") as folder, Storage() as storage, Sink() as sink:
        print(machine.header(storage.version))
        print(f"w1: {asked.people:,} people, best of {asked.rounds}, after a warm-up of {asked.warm_up}", flush=True)
        with w1_notify.site(Path(folder), storage, sink, asked.people) as site:
            runs = w1_notify.measure(site, asked.people, asked.threads, asked.rounds, asked.warm_up)
            for run in runs:
                print(f"notify  {run.line()}")
            print(best(runs).details(), flush=True)
            if asked.profile:
                output = Path(tempfile.gettempdir()) / "notify-w1-profile.txt"
                print(w1_notify.profile(site, asked.people, asked.threads, output))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.w1", description=__doc__)
    parser.add_argument("--only", choices=SYSTEMS, action="append", help="measure this system; may be repeated")
    parser.add_argument("--people", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=4, help="from which the application triggers")
    parser.add_argument("--rounds", type=int, default=3, help="runs, of which the best counts")
    parser.add_argument("--warm-up", type=int, default=200)
    parser.add_argument("--quick", action="store_true", help="200 people, one run")
    parser.add_argument("--profile", action="store_true", help="one more run with py-spy beside the worker")
    asked = parser.parse_args()
    if asked.quick:
        asked.people, asked.rounds, asked.warm_up = 200, 1, 50
    return asked


if __name__ == "__main__":
    main()
