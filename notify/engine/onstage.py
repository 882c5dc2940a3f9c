"""Rehearsals on a real Prefect server, started for this process: every batch is a flow run, every group a task run."""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Generator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from prefect import Flow, State

from notify.engine import local, runtime
from notify.engine.context import Engine
from notify.engine.flows import as_flow
from notify.engine.server import EmbeddedServer
from notify.engine.session import use_prefect
from notify.workflow import Workflow


@contextmanager
def flow_runs(engine: Engine) -> Generator[FlowRuns]:
    """Hands that work through flow runs of this process; the first to ask for them starts the server."""
    server = _server()
    use_prefect(server.api_url, server.home)
    runtime.install(engine)
    engine.linger = 0  # nothing arrives while a rehearsal works
    try:
        yield FlowRuns(engine)
    finally:
        runtime.install(None)


@dataclass(frozen=True)
class FlowRuns:
    """What a worker would have started, done here and now."""

    engine: Engine

    async def batch(self, workflow: Workflow) -> bool:
        """The workflow's `batch`: it keeps claiming until nothing is left."""
        state = await _ended(as_flow(workflow).batch)
        if workflow.id in (await local.look(self.engine)).busy:
            raise RuntimeError(f"{workflow.id} still has something to do after its batch: {state.message}")
        return True

    async def cron(self, workflow: Workflow) -> None:
        """The workflow's `cron`, as its deployment would start it at this instant."""
        await _ended(as_flow(workflow).cron)


async def _ended(flow: Flow[..., Any]) -> State[Any]:
    state: State[Any] = await flow(return_state=True)
    if state.is_crashed():
        raise RuntimeError(f"a flow run of {flow.name} crashed: {state.message}")
    return state


class _Server:
    """A server in a folder of its own, which ends with this process.

    It is started from a thread that stays, because the kernel ends it with the thread that started it; and it is
    stopped when nothing can be awaited any more.
    """

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="notify-onstage-")
        self.home = Path(self._folder.name)
        self._server = EmbeddedServer(self.home, 0)
        self._started: Future[None] = Future()
        threading.Thread(target=self._start_and_stay, name="notify-onstage", daemon=True).start()
        self._started.result()
        atexit.register(self._stop)

    @property
    def api_url(self) -> str:
        return self._server.api_url

    def _start_and_stay(self) -> None:
        try:
            asyncio.run(self._start())
        except BaseException as error:
            self._started.set_exception(error)
        else:
            self._started.set_result(None)
            threading.Event().wait()

    async def _start(self) -> None:
        await self._server.__aenter__()

    def _stop(self) -> None:
        self._server.stop()
        self._folder.cleanup()


@cache
def _server() -> _Server:
    return _Server()
