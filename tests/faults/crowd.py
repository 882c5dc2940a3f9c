"""`python -m tests.faults.crowd`: many processes emit, trigger and cancel at once, and two workers follow."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from notify.client import Notify
from notify.settings import Settings
from notify.store.database import Database
from tests.eventually import eventually, eventually_sync
from tests.faults import ledgers
from tests.faults.application import Application, Ledger
from tests.faults.kills import WORKERS, Site
from tests.faults.machines import ROOT
from tests.faults.sink import Sink

#: Seconds the workers have to come to the end, once nobody says anything any more.
_DRAIN = 600.0


@dataclass
class Result:
    """What came of it."""

    ledgers: list[Ledger]
    #: What the processes that failed said last.
    errors: list[str]
    comparison: ledgers.Comparison
    audit: subprocess.CompletedProcess[str]
    deadlocks: int

    @property
    def refused(self) -> int:
        """Errors of the store that an application met."""
        return sum(ledger.refused for ledger in self.ledgers)

    @property
    def clean(self) -> bool:
        """True when nobody met an error, and nothing was lost or done twice."""
        return self.comparison.clean and not self.errors and self.refused == 0 and self.audit.returncode == 0

    def lines(self) -> list[str]:
        """The result for a person."""
        found = self.comparison
        taken = sum(len(ledger.taken) for ledger in self.ledgers)
        cancelled = sum(len(ledger.cancelled) for ledger in self.ledgers)
        return [
            f"{len(self.ledgers)} processes · taken {taken}, {cancelled} of them called off",
            " · ".join(f"{name} {count}" for name, count in found.sums.items()),
            f"deadlocks the database resolved {self.deadlocks} · errors an application met {self.refused}",
            f"unknown attempts {found.unknown.total()} · second sends {found.second_sends}",
            f"lost {len(found.lost)} · doubled decisions {len(found.doubled)}",
            *[f"  {one}" for one in [*self.errors, *found.lost, *found.doubled, *found.unexplained][:50]],
            f"notify audit: exit code {self.audit.returncode}",
        ]


def crowd(variables: Mapping[str, str], processes: int, seconds: float, sink: Sink, log: Path) -> Result:
    """Let the crowd speak, wait until everything said is done, and compare. The workers are at work already."""
    with Notify(Settings.from_env(variables)) as notify:
        Application.people(notify)
    command = [sys.executable, "-m", "tests.faults.application"]
    said = [
        subprocess.Popen(
            [*command, f"app{number}", str(number), str(seconds)],
            cwd=ROOT,
            env=dict(variables),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for number in range(processes)
    ]
    ended = [(one, *one.communicate()) for one in said]
    books = [Ledger(**json.loads(out)) for one, out, _ in ended if one.returncode == 0]
    for book in books:
        book.taken = [(workflow, id_, person) for workflow, id_, person in book.taken]
    database = Database(variables["NOTIFY_DATABASE_URL"])
    with suppress(AssertionError):  # what is left is found by the comparison
        eventually_sync(lambda: ledgers.busy(database) == 0, "all work is done", within=_DRAIN)
    comparison = ledgers.compare(database, books, sink.accepted)
    database.close()
    audit = [sys.executable, "-m", "notify.cli", "audit"]
    return Result(
        ledgers=books,
        errors=[err.strip() for one, _, err in ended if one.returncode],
        comparison=comparison,
        audit=subprocess.run(audit, cwd=ROOT, env=dict(variables), capture_output=True, text=True, check=False),
        deadlocks=log.read_text(errors="replace").count("deadlock detected"),
    )


async def run(processes: int, seconds: float, folder: Path) -> Result:
    """The same with a Prefect server and `notify work`, started for it."""
    with Sink() as sink:
        async with Site(folder, sink, None).running() as site:
            await eventually(lambda: len(site.machines("worker")) == WORKERS, "workers start", within=180)
            return await asyncio.to_thread(crowd, site.environment, processes, seconds, sink, site.database.log)


def main() -> int:
    """Let them speak, compare, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.crowd", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--processes", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="notify-crowd-") as folder:
        result = asyncio.run(run(options.processes, options.seconds, Path(folder)))
        print("\n".join(result.lines()))
        if not result.clean:
            print(result.audit.stdout, result.audit.stderr)
    return 0 if result.clean else 1


if __name__ == "__main__":
    os.environ |= {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    raise SystemExit(main())
