"""Work shown in Prefect: one task run a group of work, under a name a person can read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE

T = TypeVar("T")


@task(cache_policy=NO_CACHE, persist_result=False, retries=0, log_prints=False)
async def step(work: Callable[[], Awaitable[None]]) -> None:
    """One kind of step for a group of people."""
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

        named: Any = step.with_options(task_run_name=name)
        await named(handle)
        return results[0]
