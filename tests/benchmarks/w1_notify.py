"""W1 on notify: an application that triggers, a warm worker, a Prefect server and a database, each a process."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import psycopg

from notify.client import Notify
from notify.settings import Settings
from tests.benchmarks import crowd, machine
from tests.benchmarks.application import Application, Asked
from tests.benchmarks.figures import Figures, percentiles
from tests.benchmarks.prefect_server import PrefectServer
from tests.benchmarks.sampling import Sampler
from tests.benchmarks.sink import Sink
from tests.benchmarks.storage import Storage
from tests.benchmarks.worker import Worker, environment
from tests.eventually import eventually_sync

#: Seconds a run may take before it counts as broken.
PATIENCE = 300.0
_DATABASE = "notify"


@dataclass
class Site:
    """All of it, running."""

    storage: Storage
    prefect: PrefectServer
    sink: Sink
    worker: Worker
    application: Application
    database_url: str
    pids: dict[str, int] = field(default_factory=lambda: dict[str, int]())

    def run(self, people: int, threads: int) -> Figures:
        """Trigger for so many, from first call to the last recorded 202; each person's notification has ended."""
        letters = crowd.letters(crowd.ids(people))
        began = datetime.now(UTC)
        self.sink.reset()
        self.storage.forget_statements()
        runs = self.prefect.runs()
        cpu = machine.Cpu(self.pids)
        triggers = self.application.ask(people, threads)
        calls = self.sink.wait(letters, PATIENCE)
        recorded = self._recorded(began, people, letters)
        eventually_sync(self.prefect.is_quiet, "the flow run has ended", within=PATIENCE)
        used, others = cpu.spent()
        first = min(one.before for one in triggers)
        notes = [self._latencies(triggers, calls), self._statements(people), self._runs(runs)]
        notes.insert(0, _triggering(triggers, threads))
        return Figures(people, letters, len(calls), recorded - first, used, others, notes)

    def _recorded(self, began: datetime, people: int, letters: int) -> float:
        """The instant at which the database has every outcome."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:

            def counted() -> float | None:
                query = """SELECT count(*) FILTER (WHERE status = 'sent' AND channel = 'email'),
                                  count(*) FILTER (WHERE status = 'queued')
                           FROM messages WHERE created_at >= %s"""
                sent, queued = _row(connection, query, began)
                query = "SELECT count(*) FROM notifications WHERE created_at >= %s AND status = 'completed'"
                ended = _row(connection, query, began)[0]
                return monotonic() if (sent, queued, ended) == (letters, 0, people) else None

            return eventually_sync(counted, f"{people} notifications ended", within=PATIENCE) or 0.0

    def _latencies(self, triggers: list[Asked], calls: list[tuple[str, float]]) -> str:
        answered = dict(calls)
        waits = [answered[one.person] - one.before for one in triggers if one.person in answered]
        return f"trigger → 202: {percentiles(waits)}"

    def _statements(self, people: int) -> str:
        every, work = (1000 * count / people for count in self.storage.statements(_DATABASE))
        return f"SQL statements per 1,000 notifications: {every:,.0f}, without BEGIN and COMMIT {work:,.0f}"

    def _runs(self, before: tuple[int, int]) -> str:
        flows, tasks = (after - since for after, since in zip(self.prefect.runs(), before, strict=True))
        return f"flow runs {flows}, task runs {tasks}"


def _triggering(triggers: list[Asked], threads: int) -> str:
    seconds = max(one.after for one in triggers) - min(one.before for one in triggers)
    return f"triggering took {seconds:.2f} s, {len(triggers) / seconds:,.0f}/s from {threads} threads"


def _row(connection: psycopg.Connection, query: str, began: datetime) -> tuple[int, ...]:
    found = connection.execute(query.encode(), [began]).fetchone()
    assert found is not None
    return found


@contextmanager
def site(folder: Path, storage: Storage, prefect: PrefectServer, sink: Sink, people: int) -> Generator[Site]:
    """A worker that has registered and an application that is ready; everybody is imported."""
    database_url = storage.create(_DATABASE)
    with ExitStack() as stack:
        variables = environment(folder, database_url, prefect.url, sink.url)
        with Notify(Settings.from_env(variables)) as notify:
            crowd.save(notify, crowd.ids(people))
        worker = stack.enter_context(Worker(folder, variables))
        application = stack.enter_context(Application(variables))
        pids = {
            "application": application.process.pid,
            "worker": worker.process.pid,
            "Prefect server": prefect.process.pid,
            "PostgreSQL": storage.pid,
            "sink": sink.process.pid,
        }
        yield Site(storage, prefect, sink, worker, application, database_url, pids)


def profile(site: Site, people: int, threads: int, output: Path) -> str:
    """One run with a sampler beside the worker: where the time went."""
    with Sampler(site.worker.process.pid, output) as sampler:
        run = site.run(people, threads)
    return "\n".join([f"sampled: {run.line()}", sampler.report(), f"stacks: {output}"])
