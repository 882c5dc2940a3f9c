"""Waiting for a condition: a generous deadline, and a failure that says what never came true."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

T = TypeVar("T")

#: Seconds. Long, because only a failure waits it out.
DEADLINE = 30.0
_INTERVAL = 0.02


async def eventually(
    predicate: Callable[[], T | Awaitable[T]], description: str = "", *, within: float = DEADLINE
) -> T:
    """Ask `predicate` (plain or async) until its answer is true; returns that answer."""
    deadline = time.monotonic() + within
    while not (answer := await _answered(predicate())):
        if time.monotonic() > deadline:
            raise _never(predicate, description, within, answer)
        await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=_INTERVAL)
    return answer


def eventually_sync(predicate: Callable[[], T], description: str = "", *, within: float = DEADLINE) -> T:
    """The same outside an event loop."""
    deadline = time.monotonic() + within
    while not (answer := predicate()):
        if time.monotonic() > deadline:
            raise _never(predicate, description, within, answer)
        threading.Event().wait(_INTERVAL)
    return answer


async def _answered(answer: T | Awaitable[T]) -> T:
    return await answer if inspect.isawaitable(answer) else cast("T", answer)


def _never(predicate: Callable[[], object], description: str, within: float, answer: object) -> AssertionError:
    what = description or getattr(predicate, "__qualname__", repr(predicate))
    return AssertionError(f"not within {within:g} s: {what}; the last answer was {answer!r}")
