"""Processes within this one: each has connections and providers of its own, and may die at any point.

All of them work in one thread and one event loop, taking turns wherever they await, so that a run can be repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import event

from notify.channels.memory import MemoryProvider
from notify.engine.context import Engine
from notify.model import Channel, Dispatch, Outcome, OutcomeKind, new_id
from notify.settings import Settings
from notify.store.database import Database

T = TypeVar("T")


class Died(BaseException):
    """The process ends here: what it had not committed is lost, and none of its `finally` blocks can write."""


class Here(ThreadPoolExecutor):
    """Threads that are none: the work is done where it is handed over."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        done: Future[T] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except BaseException as error:
            done.set_exception(error)
        return done


class Process:
    """One process: it may be told to die at its n-th statement, commit or call from now."""

    def __init__(self, url: str, outside: list[Dispatch]) -> None:
        """`outside` is what the world receives from all processes."""
        self.database = Database(url)
        self.database._threads = Here()
        self.died = False
        self._left: int | None = None
        self._provider = MemoryProvider(Channel.EMAIL, self._answer)
        self._provider.accepted = outside
        for engine in self.database.engines:
            for name in ("connect", "before_cursor_execute", "commit"):
                event.listen(engine, name, _unsynchronised if name == "connect" else self._step)

    def begin(self, settings: Settings, registry: Any, contents: Any) -> Engine:
        """Start it (again): it knows nothing of what was before."""
        self.spare()
        self.died = False
        return Engine(settings, self.database, registry, contents, {Channel.EMAIL: self._provider}, worker=new_id())

    def condemn(self, steps: int) -> None:
        """Let it die `steps` steps from now."""
        self._left = steps

    def spare(self) -> None:
        """Let it live on."""
        self._left = None

    def _step(self, *_: Any) -> None:
        if self._left is not None:
            self._left -= 1
            self.died = self.died or self._left <= 0
        if self.died:
            raise Died

    def _answer(self, dispatch: Dispatch) -> Outcome:
        self._step()
        return Outcome(OutcomeKind.ACCEPTED, provider_message_id=dispatch.id)


def _unsynchronised(connection: Any, _: Any) -> None:
    """Fast because it is not durable; PostgreSQL is so as a server."""
    if type(connection).__module__ == "sqlite3":
        connection.execute("PRAGMA synchronous = OFF")


def runner() -> asyncio.Runner:
    """A loop in which also what asks for threads is done at once."""
    made = asyncio.Runner()
    made.get_loop().set_default_executor(Here())
    return made


async def side_by_side(work: Iterable[tuple[Process, Coroutine[Any, Any, Any]]]) -> None:
    """All of it to its end; a process that dies ends its own only."""
    work = list(work)
    outcomes = await asyncio.gather(*(each for _, each in work), return_exceptions=True)
    for (process, _), outcome in zip(work, outcomes, strict=True):
        if isinstance(outcome, BaseException) and not process.died:
            raise outcome
