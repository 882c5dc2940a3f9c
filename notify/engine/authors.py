"""Calling functions of the author's: in threads of their own, within a time: a dead socket holds nobody else."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

#: Seconds one call may take, and how many run side by side.
TIMEOUT = 30.0
CONCURRENCY = 32
_threads = ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="notify-author")


async def call(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """The function's result; its error, or a TimeoutError, is raised here."""
    async with asyncio.timeout(TIMEOUT):
        if inspect.iscoroutinefunction(function):
            return await function(*args, **options)
        context = contextvars.copy_context()
        work = partial(context.run, function, *args, **options)
        return await asyncio.get_running_loop().run_in_executor(_threads, work)
