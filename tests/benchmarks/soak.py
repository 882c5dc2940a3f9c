"""Mixed load for a quarter of an hour: `python -m tests.benchmarks.soak [--minutes 15] [--database PostgreSQL]`.

One application assigns tasks, comments on them, completes and cancels, at a modest rate; the shipped workflows do the
rest: messages, reminders that sleep for seconds, digests of seconds and of days. The memory of worker and Prefect
server, and the size of both databases, are looked at every few seconds. Prefect's vacuum runs every ten seconds, and
what is older than a third of the run counts as old.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic

import sqlalchemy as sa

from notify.store.database import Database
from notify.store.tables import notifications
from tests.benchmarks import machine, prefect_rows
from tests.benchmarks.ending import orderly
from tests.benchmarks.sink import Sink
from tests.benchmarks.site import MEGABYTE, POSTGRESQL, SQLITE, Place, System, on_postgresql, on_sqlite, resident
from tests.benchmarks.soak_samples import Sample, Soaked
from tests.benchmarks.storage import Storage

#: Comments gather for six seconds.
SHORT = {"NOTIFY_COMMENT_DIGEST_MINUTES": "0.1"}
#: Seconds between two runs of Prefect's vacuum, and those the application may be late with its end.
VACUUM, LATE = 10, 120.0


class Soak:
    """One system under the load."""

    def __init__(self, system: System, prefect_url: str, seconds: float, every: float) -> None:
        self.system = system
        self.prefect_url = prefect_url
        self.seconds, self.every = seconds, every
        self.keep = seconds / 3
        self.store = Database(system.place.settings.database_url)
        self.soaked = Soaked()

    def run(self, rate: float) -> Soaked:
        """Load and look, until the time is over."""
        with _application(self.system.place.variables, rate, self.seconds) as application:
            began, minute = monotonic(), 0
            while application.poll() is None and monotonic() - began < self.seconds + LATE:
                sample = self._sample(monotonic() - began)
                if sample.at >= 60 * minute:
                    print(self.soaked.row(), flush=True)
                    minute += 1
                prefect_rows.age(self.prefect_url, self.keep)
                threading.Event().wait(self.every)
            self.soaked.application = _last_words(application)
        self._sample(monotonic() - began)
        print(self.soaked.row(), flush=True)
        self.store.close()
        return self.soaked

    def _sample(self, at: float) -> Sample:
        place = self.system.place
        told, waiting, ready = self._notifications()
        sample = Sample(
            at=at,
            worker=resident(self.system.worker),
            server=resident(self.system.server),
            store=prefect_rows.used(_plain(place)) / MEGABYTE,
            prefect=prefect_rows.kept(self.prefect_url),
            notifications=told,
            waiting=waiting,
            ready=ready,
        )
        self.soaked.samples.append(sample)
        return sample

    def _notifications(self) -> tuple[int, int, int]:
        """How many there are, how many of them wait, and how many could be worked on and are not."""
        of = [sa.func.count(sa.case((notifications.c.status == status, 1))) for status in ("waiting", "ready")]
        with self.store.read() as connection:
            every, waiting, ready = connection.execute(sa.select(sa.func.count(), *of).select_from(notifications)).one()
        return every, waiting, ready


def _plain(place: Place) -> str:
    return place.variables["NOTIFY_DATABASE_URL"]


@contextmanager
def _application(variables: Mapping[str, str], rate: float, seconds: float) -> Generator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.benchmarks.soak_load", str(rate), str(seconds)]
    process = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _last_words(application: subprocess.Popen[str]) -> dict[str, int]:
    if application.poll() is None:
        raise RuntimeError("the application did not come to its end")
    assert application.stdout is not None
    if application.returncode:
        raise RuntimeError(f"the application ended with {application.returncode}")
    return json.loads(application.stdout.read())


def main() -> None:
    """The command."""
    orderly()
    asked = _arguments()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="notify-soak-")))
        storage = stack.enter_context(Storage()) if POSTGRESQL in asked.database else None
        print(machine.header(storage.version if storage else None), flush=True)
        for name in asked.database:
            _measure(asked, name, folder, storage)


def _measure(asked: argparse.Namespace, name: str, folder: Path, storage: Storage | None) -> None:
    seconds = 60 * asked.minutes
    profile = {
        "PREFECT_SERVER_SERVICES_DB_VACUUM_LOOP_SECONDS": str(VACUUM),
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": f"PT{seconds / 3:.0f}S",
    }
    with ExitStack() as stack:
        sink = stack.enter_context(Sink())
        if storage is not None and name == POSTGRESQL:
            place = stack.enter_context(on_postgresql(folder, storage, sink.url, SHORT, profile))
            prefect_url = storage.url("prefect_server")
        else:
            place = stack.enter_context(on_sqlite(folder, sink.url, SHORT, profile))
            prefect_url = f"sqlite:///{place.folder / 'notify' / 'prefect' / 'prefect.db'}"
        system = stack.enter_context(place.working())
        print(f"{name}, {asked.rate:g} calls a second for {asked.minutes:g} minutes:")
        print(Soaked.HEAD, flush=True)
        cpu = machine.Cpu(system.pids)
        soaked = Soak(system, prefect_url, seconds, min(asked.every, seconds / 12)).run(asked.rate)
        used, others = cpu.spent()
    print(soaked.verdict(seconds))
    parts = " · ".join(f"{part} {value:.0f}" for part, value in used.items())
    print(f"  CPU seconds: {parts}; others on this machine {others:.0f}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--rate", type=float, default=20.0, help="calls a second")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two looks")
    parser.add_argument("--database", choices=[SQLITE, POSTGRESQL], action="append", help="this one; may be repeated")
    parser.add_argument("--quick", action="store_true", help="three quarters of a minute")
    asked = parser.parse_args()
    asked.database = asked.database or [SQLITE, POSTGRESQL]
    if asked.quick:
        asked.minutes = 0.75
    return asked


if __name__ == "__main__":
    main()
