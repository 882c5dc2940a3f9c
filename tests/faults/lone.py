"""Workers without Prefect for tests: one in a process of its own, one here, on the same store and the same sink."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import sqlalchemy as sa

from notify import clock
from notify.client import Notify
from notify.engine import local, runtime
from notify.engine.context import Engine
from notify.engine.sweep import sweep_rows
from notify.settings import Settings
from notify.store import audit
from notify.store.database import Database
from tests.faults.machines import ROOT, environment

_HEAD = """\
import asyncio
from pathlib import Path
from typing import Any

from notify.workflow import Notification, workflow

HERE = Path(__file__).parent
"""
TEMPLATE = "{% block subject %}{{ workflow }}{% endblock %}\n{% block body %}hello{% endblock %}\n"


class Lone:
    """One store, the workflows of one folder, and e-mail that goes to the sink."""

    def __init__(self, folder: Path, url: str, sink: str) -> None:
        self.folder = folder
        self.flows = folder / "flows"
        self.flows.mkdir()
        self.variables = environment(folder, url, "", sink) | {"NOTIFY_FLOWS": str(self.flows)}
        self.said = folder / "said.txt"
        self._url = url

    def workflow(self, source: str, *steps: str) -> None:
        """Save the workflows, and a template for each of `steps`."""
        (self.flows / "flow.py").write_text(_HEAD + dedent(source))
        for step in steps:
            path = self.flows / "templates" / f"{step}.j2"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(TEMPLATE)

    def notify(self) -> Notify:
        """An application's own."""
        return Notify(Settings.from_env(self.variables))

    @contextmanager
    def process(self, lease: float = 3.0) -> Iterator[subprocess.Popen[bytes]]:
        """A worker in a process of its own, killed with the block."""
        command = [sys.executable, "-m", "tests.faults.lone_worker", str(lease)]
        with self.said.open("ab") as said:
            worker = subprocess.Popen(command, cwd=ROOT, env=self.variables, stdout=said, stderr=subprocess.STDOUT)
        try:
            yield worker
        finally:
            worker.send_signal(signal.SIGKILL)
            worker.wait()

    def settled(self) -> int:
        """How often the worker said that nothing is left to do."""
        return self.said.read_text().count("settled")

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """A worker in this process."""
        engine = runtime.build(Settings.from_env(self.variables))
        try:
            yield engine
        finally:
            engine.database.close()

    def settle(self) -> None:
        """Do all that can be done now, in this process."""
        with self.engine() as engine:
            asyncio.run(_settle(engine))

    def rows(self, query: sa.Select[Any]) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        database = Database(self._url)
        with database.read() as connection:
            found = [tuple(row) for row in connection.execute(query)]
        database.close()
        return found

    def audit(self) -> audit.Audit:
        """What `notify audit` finds."""
        with self.notify() as notify, notify.database.read() as connection:
            listeners = notify.registry.listeners()
            return audit.audit(connection, notify.settings.environment, listeners, now=clock.now())


async def _settle(engine: Engine) -> None:
    await sweep_rows(engine)
    await local.settle(engine)
    for provider in engine.providers.values():
        await provider.aclose()
