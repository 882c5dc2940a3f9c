"""An event loop that shows each step of each coroutine."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any


def run_stepped(work: Coroutine[Any, Any, Any], note: Callable[[], None]) -> Any:
    """Run `work` like `asyncio.run`; `note` is called before each step of it and of every task it makes."""

    def task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        stepped: Any = _stepped(coroutine, note)
        return asyncio.Task(stepped, loop=loop, **options)

    with asyncio.Runner() as runner:
        runner.get_loop().set_task_factory(task)
        return runner.run(work)


@types.coroutine
def _stepped(work: Coroutine[Any, Any, Any], note: Callable[[], None]) -> Generator[Any, Any, Any]:
    step = partial(work.send, None)
    while True:
        note()
        try:
            awaited = step()
        except StopIteration as end:
            return end.value
        try:
            step = partial(work.send, (yield awaited))
        except BaseException as error:
            step = partial(work.throw, error)
