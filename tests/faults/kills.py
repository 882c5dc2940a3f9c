"""A steady load, and SIGKILL at seeded instants: of a worker, of the Prefect server, of the database."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from notify.client import Notify
from notify.errors import StoreUnavailable
from notify.settings import Settings
from notify.store.database import Database
from tests.eventually import eventually
from tests.faults import ledgers
from tests.faults.application import Application
from tests.faults.machines import ROOT, Machine, Postgres, PrefectServer, Worker, environment, lapse
from tests.faults.sink import Sink

#: Who is killed how often, of a hundred.
WEIGHTS = {"worker": 70, "Prefect server": 15, "database": 15}
WORKERS = 2
#: Seconds without any progress after which the rest of the work counts as lost: longer than a lease and a sweep.
STILL = 180.0


@dataclass(frozen=True)
class Plan:
    """How many kills, from which seed, and how many seconds lie between two of them on average."""

    kills: int
    seed: int
    pause: float
    #: Seconds between two things the application says.
    every: float = 0.1
    #: Seconds for which workers hold what they claim; None leaves it as it is.
    lease: float | None = None


@dataclass
class Result:
    """What came of it."""

    plan: Plan
    seconds: float = 0.0
    killed: Counter[str] = field(default_factory=Counter)
    taken: int = 0
    cancelled: int = 0
    refused: int = 0
    audit: subprocess.CompletedProcess[str] | None = None
    comparison: ledgers.Comparison = field(default_factory=ledgers.Comparison)

    @property
    def clean(self) -> bool:
        """True when nothing was lost or done twice without a reason."""
        return self.comparison.clean and self.audit is not None and self.audit.returncode == 0

    def lines(self) -> list[str]:
        """The result for a person."""
        found = self.comparison
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.killed.items()))
        unknown = [f"  {id_}: {count}" for id_, count in sorted(found.unknown.items())]
        wrong = [f"  {one}" for one in [*found.lost, *found.doubled, *found.unexplained][:50]]
        return [
            f"seed {self.plan.seed} · {self.seconds:.0f} s · {sum(self.killed.values())} kills: {kinds}",
            f"taken {self.taken}, {self.cancelled} of them called off; the store was away {self.refused} times",
            " · ".join(f"{name} {count}" for name, count in found.sums.items()),
            f"unknown attempts {sum(found.unknown.values())}, of messages:",
            *unknown,
            f"second sends {found.second_sends} (without an unknown attempt before them: {len(found.unexplained)})",
            f"lost {len(found.lost)} · doubled decisions {len(found.doubled)}",
            *wrong,
            f"notify audit: exit code {self.audit.returncode if self.audit else '-'}",
        ]


class Site:
    """All machines of an installation, running."""

    def __init__(self, folder: Path, sink: Sink, lease: float | None) -> None:
        self.database = Postgres()
        self.server = PrefectServer(folder / "server")
        self.environment = environment(folder / "home", self.database.url, self.server.url, sink.url)
        self.workers = [Worker(f"worker-{number}", folder, self.environment, lease) for number in range(WORKERS)]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Site]:
        """Everything is started, and ended with the block."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.database.stop)
            await asyncio.to_thread(self.database.make)
            stack.push_async_callback(self.server.stop)
            await self.server.start()
            for worker in self.workers:
                stack.push_async_callback(worker.stop)
                await worker.start()
            watching = asyncio.create_task(self._watch())
            stack.callback(watching.cancel)
            yield self

    async def _watch(self) -> None:
        """What has ended by itself, because what it needs was away, is started again."""
        while True:
            await lapse(0.2)
            for worker in self.workers:
                if not worker.running:
                    await worker.start()

    def notify(self) -> Notify:
        """An application's own."""
        return Notify(Settings.from_env(self.environment))

    def machines(self, kind: str) -> list[Machine]:
        """Those of this kind that do their work now."""
        known: dict[str, list[Machine]] = {
            "worker": [*self.workers],
            "Prefect server": [self.server],
            "database": [self.database],
        }
        return [machine for machine in known[kind] if machine.up]


async def run(plan: Plan, folder: Path) -> Result:
    """The whole run: start everything, load and kill, let the work come to its end, compare."""
    result, began = Result(plan), time.monotonic()
    with Sink(takes=0.02) as sink:
        async with Site(folder, sink, plan.lease).running() as site:
            await eventually(lambda: len(site.machines("worker")) == WORKERS, "workers start", within=180)
            _say("started")
            application = await asyncio.to_thread(_application, site, plan.seed)
            loading = threading.Thread(target=application.run, args=(plan.every,), daemon=True)
            loading.start()
            await _kill(site, plan, result)
            application.stopping.set()
            await asyncio.to_thread(loading.join)
            _say("nobody is killed any more")
            await _drain(site)
            _say("nothing is left to do")
            result.audit = await asyncio.to_thread(_audit, site)
            database = Database(site.database.url)
            result.comparison = ledgers.compare(database, [application.ledger], sink.accepted)
            database.close()
            application.notify.close()
    ledger = application.ledger
    result.taken, result.cancelled, result.refused = len(ledger.taken), len(ledger.cancelled), ledger.refused
    result.seconds = time.monotonic() - began
    return result


def _application(site: Site, seed: int) -> Application:
    notify = site.notify()
    Application.people(notify)
    return Application(notify, "app", seed)


async def _kill(site: Site, plan: Plan, result: Result) -> None:
    """One kill after another; what was killed is started again at once, beside the next wait."""
    chance = random.Random(plan.seed)
    starting: set[asyncio.Task[None]] = set()
    began = time.monotonic()
    for number in range(plan.kills):
        due = began + (number + chance.random()) * plan.pause
        await lapse(max(due - time.monotonic(), 0))
        [kind] = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))
        if not site.machines(kind):
            kind = "worker"
            await eventually(lambda: site.machines("worker"), "a worker is up again", within=300)
            await lapse(chance.uniform(0, plan.pause))  # so that it has come to something
            await eventually(lambda: site.machines("worker"), "it is up still, or again", within=300)
        victim = chance.choice(site.machines(kind))
        killed = {Worker: "worker", PrefectServer: "Prefect server", Postgres: "database"}[type(victim)]
        await victim.kill()
        result.killed[killed] += 1
        _say(f"{number + 1}: {killed}")
        if not isinstance(victim, Worker):  # which is seen to be gone
            starting.add(asyncio.create_task(victim.start()))
    await asyncio.gather(*starting)


async def _drain(site: Site) -> None:
    """Until nothing is under way, or nothing moves any more: what is left then is found by the comparison."""
    database = Database(site.database.url)
    left, moved_at = sys.maxsize, time.monotonic()
    while left and time.monotonic() - moved_at < STILL:
        await lapse(0.5)
        with suppress(StoreUnavailable):
            now = await asyncio.to_thread(ledgers.busy, database)
            left, moved_at = now, time.monotonic() if now != left else moved_at
    database.close()


def _say(words: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {words}", file=sys.stderr, flush=True)


def _audit(site: Site) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "notify.cli", "audit"]
    return subprocess.run(command, cwd=ROOT, env=site.environment, capture_output=True, text=True, check=False)
