"""The contract of every provider, and how the trouble of one call becomes an outcome."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

from notify.model import Channel, Dispatch, Outcome, OutcomeKind

T = TypeVar("T")


class Provider(Protocol):
    """The adapter for one vendor on one channel."""

    #: The vendor's name, as it stands in the log.
    id: str
    channel: Channel
    #: True when sending the same dispatch id twice leaves one message.
    idempotent: bool
    #: Seconds one call may take, connecting included.
    timeout: float
    #: Calls in flight at once, for each `send`.
    concurrency: int

    async def send(self, dispatches: Sequence[Dispatch]) -> list[Outcome]:
        """One outcome for each dispatch, in the same order.

        A message that fails is an outcome, never an exception; only cancellation passes. Every call ends within
        `timeout` seconds, so a batch ends within `timeout * ceil(len / concurrency)`.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections of the running loop. A later `send` opens new ones."""
        ...


class Unsendable(Exception):
    """Why a message cannot be sent as it is. Raised before anything leaves; `send_each` makes it REJECTED."""


class Stage(IntEnum):
    """How far a call got: what an error proves depends on it."""

    #: Nobody was reached.
    CONNECTING = 0
    #: Somebody answers, but the message has not left: it cannot have been taken.
    CONNECTED = 1
    #: The message is leaving or has left: it may have been taken.
    HANDED_OVER = 2


@dataclass(slots=True)
class Call:
    """One dispatch on its way. The provider moves `stage` forward *before* the step that the stage names."""

    dispatch: Dispatch
    stage: Stage = Stage.CONNECTING

    def lost(self, detail: str) -> Outcome:
        """What a call without an answer came to: UNKNOWN once the message was handed over, RETRY before."""
        if self.stage is Stage.HANDED_OVER:
            return Outcome(OutcomeKind.UNKNOWN, detail=detail)
        return Outcome(OutcomeKind.RETRY, detail=detail, never_connected=self.stage is Stage.CONNECTING)


#: Also the answer for a call that ended without one, as when a library cancels the task it runs in.
_NO_ANSWER = Outcome(OutcomeKind.UNKNOWN, detail="the call ended without an answer")


async def send_each(
    dispatches: Sequence[Dispatch],
    send: Callable[[Call], Awaitable[Outcome]],
    *,
    concurrency: int,
    timeout: float,
) -> list[Outcome]:
    """Await `send` for each dispatch, at most `concurrency` at once and `timeout` seconds each; order is kept.

    Unsendable becomes REJECTED; a time-out or a network error is judged by the call's stage; any other exception is
    UNKNOWN, because nothing is known about how far that call got.
    """
    outcomes = [_NO_ANSWER] * len(dispatches)
    rest = iter(enumerate(dispatches))

    async def work() -> None:
        for place, dispatch in rest:
            outcomes[place] = await _one(Call(dispatch), send, timeout)

    async with asyncio.TaskGroup() as workers:
        for _ in range(min(concurrency, len(dispatches))):
            workers.create_task(work())
    return outcomes


async def _one(call: Call, send: Callable[[Call], Awaitable[Outcome]], timeout: float) -> Outcome:
    try:
        async with asyncio.timeout(timeout):
            return await send(call)
    except TimeoutError:
        return call.lost(f"no answer within {timeout:g} s")
    except OSError as problem:
        return call.lost(describe(problem))
    # One person's surprise must not cost the others of the batch their outcomes.
    except Exception as problem:
        return surprise(problem)


def surprise(problem: Exception) -> Outcome:
    """The outcome of an exception that no provider expects, and of Unsendable."""
    if isinstance(problem, Unsendable):
        return Outcome(OutcomeKind.REJECTED, detail=str(problem))
    return Outcome(OutcomeKind.UNKNOWN, detail=f"unexpected {describe(problem)}")


def describe(problem: BaseException) -> str:
    """The exception's class and text, on one line of at most 500 characters."""
    return excerpt(f"{type(problem).__name__}: {problem}".removesuffix(": "))


def excerpt(text: str) -> str:
    """`text` on one line, cut at 500 characters: enough for a log."""
    line = " ".join(text.split())
    return line if len(line) <= 500 else f"{line[:499]}…"


#: An id becomes a file name and a Message-ID, so it may be neither a path nor a header.
_ID = re.compile(r"[0-9A-Za-z_][0-9A-Za-z_.-]*")


def check(dispatch: Dispatch, provider: str, *, channel: Channel, extras: Collection[str]) -> None:
    """Raise Unsendable unless `provider` can carry all of `dispatch`: nothing is dropped silently.

    `extras` are the keys of `content.extra` that the provider understands; keys with an empty value ask for nothing.
    """
    if dispatch.channel is not channel:
        raise Unsendable(f"{provider} carries {channel}, not {dispatch.channel}")
    if not _ID.fullmatch(dispatch.id):
        raise Unsendable(f"the id {dispatch.id!r} has characters other than letters, digits, '-', '_' and '.'")
    beyond = sorted(key for key, value in dispatch.content.extra.items() if value and key not in extras)
    if beyond:
        raise Unsendable(f"{provider} cannot carry {', '.join(beyond)}; leave it out or use another provider")


class PerLoop(Generic[T]):
    """One value for each event loop, made on first use there: connections cannot move between loops."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._values: WeakKeyDictionary[asyncio.AbstractEventLoop, T] = WeakKeyDictionary()

    def current(self) -> T:
        """The running loop's value."""
        loop = asyncio.get_running_loop()
        if loop not in self._values:
            self._values[loop] = self._make()
        return self._values[loop]

    def take(self) -> T | None:
        """The running loop's value if it has one; it is forgotten here, so the caller closes it."""
        return self._values.pop(asyncio.get_running_loop(), None)
