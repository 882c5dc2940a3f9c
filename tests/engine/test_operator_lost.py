"""A worker that is killed: its flow run does not stay Running, names the run that took over, and nothing is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from notify.engine.server import EmbeddedServer
from tests.engine.dev_world import PATIENCE
from tests.engine.operator_world import Operator
from tests.eventually import eventually_sync

pytestmark = pytest.mark.long

#: A worker that is patient for seconds where the real one is for a minute.
HASTY = """\
import sys
from datetime import timedelta
from notify.engine import conductor, reconcile, runtime, serving
from notify.cli import main

build = runtime.build

def hasty(settings):
    engine = build(settings)
    engine.lease = timedelta(seconds=4)
    return engine

runtime.build = hasty
reconcile.SILENCE = timedelta(seconds=10)
serving.BEAT = serving.RECONCILE = conductor.SWEEP = 1.0
sys.argv = ["notify", "work"]
main()
"""


class Elsewhere(Operator):
    """Workers beside a Prefect server that outlives them."""

    server: str = ""

    @property
    def api(self) -> str:
        return self.server

    @contextmanager
    def working(self) -> Iterator[subprocess.Popen[bytes]]:
        with self.output.open("ab") as said:
            process = subprocess.Popen(
                [sys.executable, "-c", HASTY], cwd=self.folder, env=self.terminal, stdout=said, stderr=said
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def elsewhere(tmp_path: Path, known_to_prefect: Callable[[Path], Path]) -> Iterator[Elsewhere]:
    made = Elsewhere.at(tmp_path)
    with asyncio.Runner() as runner:
        server = EmbeddedServer(known_to_prefect(tmp_path / "server"), 0)
        runner.run(server.__aenter__())
        made.server = server.api_url
        yield made
        runner.run(server.__aexit__())


def test_a_killed_worker_s_run_is_crashed_and_names_the_one_that_took_over(elsewhere: Elsewhere) -> None:
    held = elsewhere.folder / "held"
    with elsewhere.working() as first:
        elsewhere.trigger("slow", "ka", "kb")
        eventually_sync(lambda: held.exists() and "kb" in held.read_text(), "they stand at the gate", within=PATIENCE)
        flow_run = elsewhere.running("slow/batch")["id"]
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    assert elsewhere.flow_run(flow_run)["state"]["type"] == "RUNNING"

    with elsewhere.working():
        eventually_sync(lambda: held.read_text().count("kb") == 2, "another one takes them up", within=PATIENCE)
        elsewhere.open_gate()
        found = elsewhere.settled("slow", "ka", "kb")
        state = elsewhere.ended(flow_run)
        heirs = {run["id"] for run in elsewhere.runs("slow/batch")} - {flow_run}
        again = elsewhere.retried(flow_run)

    assert found == {"ka": ("completed", None), "kb": ("completed", None)}
    assert state["type"] == "CRASHED"
    said = "Its worker was lost; what it held is continued in the run {} of slow"
    # Where it has not begun yet when the loss is noticed, it has no id to be named by.
    beforehand = "Its worker was lost; what it held is continued by "
    assert state["message"] in {said.format(heir) for heir in heirs} or state["message"].startswith(beforehand)
    # A retry finds nothing that is left to do: nobody is told twice.
    assert again["type"] == "COMPLETED"
    assert elsewhere.of("ka", "kb") == {
        (person, channel, status): 1
        for person in ("ka", "kb")
        for channel, status in (("in_app", "delivered"), ("email", "sent"))
    }
