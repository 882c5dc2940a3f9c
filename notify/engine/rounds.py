"""What a round deals in: requests, answers, endings, and the player whose body asks."""

from __future__ import annotations

import contextvars
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from notify.errors import Halted
from notify.model import Claimed, JsonObject, NotificationStatus, Remembered
from notify.steps import All, Step


@dataclass(frozen=True, slots=True)
class Request:
    """One step to perform for one notification."""

    claimed: Claimed
    step: Step[Any]
    #: It is new code before steps already remembered: a message is skipped, a wait is passed.
    past: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What performing a step came to: a value, an error to raise in the body, a wait, or a lost claim."""

    value: Any = None
    error: Exception | Halted | None = None
    waits: bool = False
    lost: bool = False


WAITS = Answer(waits=True)
LOST = Answer(lost=True)


@dataclass(frozen=True, slots=True)
class Ending:
    """How one notification ended; `again` when its body failed and may be tried again."""

    claimed: Claimed
    status: NotificationStatus
    reason: str | None = None
    error: JsonObject | None = None
    again: bool = False
    #: Its wait was written before it failed.
    waits: bool = False
    #: What its body returned, for a workflow that called it.
    result: Any = None


class Performer(Protocol):
    """Does the work of a round. Answers come in the order of the requests."""

    async def perform(self, kind: str, requests: Sequence[Request]) -> Sequence[Answer]:
        """Perform one kind of step for a group."""
        ...

    def recollect(self, claimed: Claimed, step: Step[Any], remembered: Remembered) -> Any:
        """A remembered step's result as the body expects it."""
        ...

    async def finish(self, endings: Sequence[Ending]) -> None:
        """Record who ended how."""
        ...


@dataclass
class Player:
    """One notification's coroutine and what it waits for."""

    claimed: Claimed
    coroutine: Coroutine[Any, Any, Any]
    retries: int
    #: What it remembers although its workflow asks for it no more.
    gone_steps: frozenset[str] = frozenset()
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    used: set[str] = field(default_factory=lambda: set[str]())
    asked: list[Request] = field(default_factory=lambda: list[Request]())
    answers: dict[str, Answer] = field(default_factory=lambda: dict[str, Answer]())
    group: All[Any] | Step[Any] | None = None
    #: The place in the memo up to which this run has come.
    place: int = -1
    sent: bool = False
    failure: JsonObject | None = None
    ending: Ending | None = None
    gone: bool = False

    @property
    def done(self) -> bool:
        """True when there is nothing left to drive."""
        return self.gone or self.ending is not None
