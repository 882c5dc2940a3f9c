"""W1 on Prefect alone: a flow run a person, in the process that asks, a task a channel."""

from __future__ import annotations

import asyncio
from typing import Any

from prefect import flow, task

from tests.benchmarks import crowd
from tests.benchmarks.application import Asked, serve
from tests.benchmarks.peer_channels import Channels

IN_FLIGHT = 32
_open: list[Channels] = []


@task
async def in_app(job: str, person: str, payload: dict[str, Any]) -> str:
    """The message in the application."""
    return await _open[0].in_app(job, person, payload)


@task
async def email(job: str, person: str, payload: dict[str, Any]) -> str:
    """The e-mail."""
    return await _open[0].email(job, person, payload)


@task
async def push(job: str, person: str) -> str:
    """The push message."""
    return await _open[0].push(job, person)


@flow
async def tell(job: str, person: str, payload: dict[str, Any]) -> None:
    """One person, on every channel."""
    await in_app(job, person, payload)
    await email(job, person, payload)
    await push(job, person)


async def ask_all(people: list[str]) -> list[Asked]:
    """Everybody, 32 flow runs at once."""
    loop, gate = asyncio.get_running_loop(), asyncio.Semaphore(IN_FLIGHT)
    began = loop.time()

    async def one(person: str) -> Asked:
        async with gate:
            await tell(f"{began}/{person}", person, crowd.payload(person))
            return Asked(person, began, loop.time())

    async with Channels(IN_FLIGHT) as channels:
        _open[:] = [channels]
        return await asyncio.gather(*map(one, people))


def ask() -> None:
    """The application."""
    serve(lambda people, _: asyncio.run(ask_all(people)))
