"""Whether Prefect's API answers: a fact the worker keeps, and the two lines its log has about it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from notify import clock

T = TypeVar("T")
log = logging.getLogger("notify.prefect")
#: Seconds without an answer after which everything goes on without Prefect.
PATIENCE = 30.0
#: Seconds an answer may take, and for which it need not be asked for again.
ANSWER, FRESH = 5.0, 1.0


@dataclass
class Presence:
    """When Prefect last answered. It is away once that is `patience` seconds ago, by this process's steady clock.

    An operator finds one line in the log when it is away and one when it is back.
    """

    patience: float = PATIENCE
    _answered: float = field(default_factory=time.monotonic)
    _answered_at: datetime = field(default_factory=clock.now)
    _answering: bool = True
    _fresh_until: float = 0.0
    _said: bool = False

    @property
    def answers(self) -> bool:
        """Whether it answered when it was asked last."""
        return self._answering

    @property
    def away(self) -> bool:
        """Whether everything is to go on without Prefect."""
        return time.monotonic() - self._answered > self.patience

    async def look(self, ask: Callable[[], Awaitable[object]]) -> None:
        """Ask once, unless it answered something a moment ago.

        Whatever is not an answer in time counts as none: a refusal, an error, silence.
        """
        if self._answering and time.monotonic() < self._fresh_until:
            return
        try:
            async with asyncio.timeout(ANSWER):
                await ask()
        except Exception as error:
            self._no_answer(error)
        else:
            self._answer()

    def start_without(self) -> None:
        """Nobody answers yet; the patience begins now."""
        self._answering = False
        self._answered, self._answered_at = time.monotonic(), clock.now()

    def _no_answer(self, error: Exception) -> None:
        self._answering = False
        if self.away and not self._said:
            self._said = True
            since = f"{self._answered_at:%Y-%m-%d %H:%M:%S}"
            problem = str(error) or type(error).__name__
            log.warning(
                "Prefect has not answered since %s UTC (%s): every workflow goes on without it, unreported until it is "
                "back",
                since,
                problem,
            )

    async def hear(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask what is needed anyway; an answer in time to that is one. Errors are passed on."""
        asked = time.monotonic()
        answer = await ask()
        if time.monotonic() - asked < ANSWER:
            self._answer()
        return answer

    def _answer(self) -> None:
        if self._said:
            log.warning("Prefect answers again, after %.0f s", time.monotonic() - self._answered)
        self._answering, self._said = True, False
        self._fresh_until = time.monotonic() + FRESH
        self._answered, self._answered_at = time.monotonic(), clock.now()
