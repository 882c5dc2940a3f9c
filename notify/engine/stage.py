"""Work shown in Prefect: one task run a group of work, under a name a person can read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE

T = TypeVar("T")


@task(task_run_name="{name}", cache_policy=NO_CACHE, persist_result=False, retries=0, log_prints=False)
async def step(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """One kind of step for a group of people, under `name`: a task made anew for each name is a tenth of its cost."""
    await work()


class PrefectStage:
    """Each group of work is a task run.

    The work is handed over as a handle and its result comes back beside Prefect, whose engine would walk through
    every value of a thousand people in search of futures.
    """

    async def task(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """Run `work` as the task run `name`; its error is raised here."""
        results: list[T] = []

        async def handle() -> None:
            results.append(await work())

        await step(name, handle)
        return results[0]
