"""W1 on DBOS: a workflow a person on a queue, a remembered step a channel.

`work` runs the queue; `ask` enqueues, one call a person. The queue is looked at twenty times a second: with the
default of once, 32 in flight would be 32 a second.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from dbos import DBOS, DBOSClient, DBOSConfig, EnqueueOptions

from tests.benchmarks import crowd
from tests.benchmarks.application import from_threads, serve
from tests.benchmarks.peer_channels import DATABASE, Channels

QUEUE, IN_FLIGHT, LOOK = "notifications", 32, 0.05
NAME, VERSION = "bench-w1", "1"
_channels: list[asyncio.Task[Channels]] = []


@DBOS.step()
async def in_app(job: str, person: str, payload: dict[str, Any]) -> str:
    """The message in the application."""
    return await (await _opened()).in_app(job, person, payload)


@DBOS.step()
async def email(job: str, person: str, payload: dict[str, Any]) -> str:
    """The e-mail."""
    return await (await _opened()).email(job, person, payload)


@DBOS.step()
async def push(job: str, person: str) -> str:
    """The push message."""
    return await (await _opened()).push(job, person)


@DBOS.workflow(name="tell")
async def tell(person: str, payload: dict[str, Any]) -> None:
    """One person, on every channel."""
    job = str(DBOS.workflow_id)
    await in_app(job, person, payload)
    await email(job, person, payload)
    await push(job, person)


def _url() -> str:
    return os.environ[DATABASE].replace("postgresql://", "postgresql+psycopg://", 1)


async def _opened() -> Channels:
    """DBOS runs what it dequeues on a loop of its own: pool and client are made there, by whoever comes first."""
    if not _channels:
        _channels.append(asyncio.create_task(Channels(IN_FLIGHT).__aenter__()))
    return await _channels[0]


def work() -> None:
    """The worker."""
    config: DBOSConfig = {
        "name": NAME,
        "application_version": VERSION,
        "system_database_url": _url(),
        "sys_db_pool_size": IN_FLIGHT,
        "log_level": "ERROR",
    }
    DBOS(config=config)
    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=IN_FLIGHT, polling_interval_sec=LOOK)
    print("ready", flush=True)
    sys.stdin.read()
    DBOS.destroy()


def ask() -> None:
    """The application."""
    client = DBOSClient(system_database_url=_url(), system_database_pool_size=8, application_name=NAME)
    options: EnqueueOptions = {"queue_name": QUEUE, "workflow_name": "tell", "app_version": VERSION}
    serve(from_threads(lambda person: client.enqueue(options, person, crowd.payload(person))))
