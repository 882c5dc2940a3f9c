"""W1 on Procrastinate: a job a person, a message row a channel. It remembers jobs, not steps.

`work` runs the jobs, woken by LISTEN; `ask` defers, one call a person.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from procrastinate import App, PsycopgConnector, SyncPsycopgConnector

from tests.benchmarks import crowd
from tests.benchmarks.application import from_threads, serve
from tests.benchmarks.peer_channels import DATABASE, Channels

IN_FLIGHT = 32


def work() -> None:
    """The worker."""
    asyncio.run(_work())


async def _work() -> None:
    app = App(connector=PsycopgConnector(conninfo=os.environ[DATABASE], max_size=IN_FLIGHT))
    async with app.open_async(), Channels(IN_FLIGHT) as channels:

        @app.task(name="tell", pass_context=True)
        async def tell(context: Any, person: str, payload: dict[str, Any]) -> None:
            job = str(context.job.id)
            await channels.in_app(job, person, payload)
            await channels.email(job, person, payload)
            await channels.push(job, person)

        running = asyncio.create_task(app.run_worker_async(concurrency=IN_FLIGHT, install_signal_handlers=False))
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        running.cancel()
        await asyncio.wait([running])


def ask() -> None:
    """The application."""
    app = App(connector=SyncPsycopgConnector(conninfo=os.environ[DATABASE], max_size=8))
    with app.open():
        job = app.configure_task("tell", allow_unknown=True)
        serve(from_threads(lambda person: job.defer(person=person, payload=crowd.payload(person))))


def prepare() -> None:
    """Its tables."""
    app = App(connector=SyncPsycopgConnector(conninfo=os.environ[DATABASE]))
    with app.open():
        app.schema_manager.apply_schema()
