"""W1 on the others: each with a database of its own on the same server, the same people and the same sink."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from time import monotonic

import psycopg

from tests.benchmarks import crowd, machine, peer_rows
from tests.benchmarks.application import Application
from tests.benchmarks.figures import Figures
from tests.benchmarks.peer_channels import DATABASE, SINK
from tests.benchmarks.prefect_server import PrefectServer, without_ours
from tests.benchmarks.sink import Sink
from tests.benchmarks.storage import Storage
from tests.benchmarks.worker import ROOT
from tests.eventually import eventually_sync

PATIENCE = 600.0
START = "tests.benchmarks.start"


@dataclass(frozen=True)
class Peer:
    """How a system is started: its module, and whether a worker does what the application asks for."""

    name: str
    module: str
    ask: str = "ask"
    worker: bool = False
    prepared: bool = False
    #: A slow one does a share of the people: rates compare.
    share: int = 1

    def people(self, people: int) -> int:
        """How many it does, at least enough to fill what is in flight."""
        return min(people, max(IN_FLIGHT, people // self.share))


IN_FLIGHT = 32
DBOS = Peer("dbos", "tests.benchmarks.w1_dbos", worker=True)
PROCRASTINATE = Peer("procrastinate", "tests.benchmarks.w1_procrastinate", worker=True, prepared=True)
PREFECT = Peer("prefect", "tests.benchmarks.w1_prefect", share=20)
LIMIT = Peer("limit", "tests.benchmarks.w1_limit")
LIMIT_BY_CALL = Peer("limit-by-call", "tests.benchmarks.w1_limit", ask="ask_each", worker=True)
PEERS = {peer.name: peer for peer in (PREFECT, DBOS, PROCRASTINATE, LIMIT, LIMIT_BY_CALL)}


class Running:
    """A peer with its processes, for the length of a `with` block."""

    def __init__(
        self, peer: Peer, storage: Storage, sink: Sink, people: int, server: PrefectServer | None = None
    ) -> None:
        self.peer, self.storage, self.sink = peer, storage, sink
        self.people = peer.people(people)
        self.url = storage.create(peer.name)
        self.environment = without_ours() | {"PYTHONPATH": str(ROOT), DATABASE: self.url, SINK: sink.url}
        self.pids = {"PostgreSQL": storage.pid, "sink": sink.process.pid}
        if server is not None:
            self.environment |= {"PREFECT_API_URL": server.url, "PREFECT_HOME": str(server.folder / "prefect-client")}
            self.environment |= {"PREFECT_LOGGING_LEVEL": "WARNING"}
            self.pids |= {"Prefect server": server.process.pid}
        peer_rows.prepare(self.url, crowd.ids(self.people))

    def __enter__(self) -> Running:
        if self.peer.prepared:
            command = [sys.executable, "-m", START, self.peer.module, "prepare"]
            subprocess.run(command, env=self.environment, check=True)
        with ExitStack() as stack:
            # A worker answers `ready` as an application does, and works until its input is closed.
            if self.peer.worker:
                self.pids["worker"] = stack.enter_context(self._process("work")).process.pid
            self.application = stack.enter_context(self._process(self.peer.ask))
            self.pids["application"] = self.application.process.pid
            self.stack = stack.pop_all()
        return self

    def _process(self, function: str) -> Application:
        return Application(self.environment, START, self.peer.module, function)

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def run(self, people: int, threads: int) -> Figures:
        """From the first call to the last recorded 202."""
        letters = crowd.letters(crowd.ids(people))
        peer_rows.forget(self.url)
        self.sink.reset()
        self.storage.forget_statements()
        cpu = machine.Cpu(self.pids)
        asked = self.application.ask(people, threads)
        calls = self.sink.wait(letters, PATIENCE)
        recorded = self._recorded(people, letters)
        used, others = cpu.spent()
        seconds = recorded - min(one.before for one in asked)
        return Figures(people, letters, len(calls), seconds, used, others, self._statements(people))

    def _recorded(self, people: int, letters: int) -> float:
        with psycopg.connect(self.url, autocommit=True) as connection:

            def done() -> float | None:
                return monotonic() if peer_rows.counted(connection) == (letters, 3 * people) else None

            return eventually_sync(done, f"{people} people are told", within=PATIENCE) or 0.0

    def _statements(self, people: int) -> list[str]:
        every, work = (1000 * count / people for count in self.storage.statements(self.peer.name))
        return [f"SQL statements per 1,000 notifications: {every:,.0f}, without BEGIN and COMMIT {work:,.0f}"]
