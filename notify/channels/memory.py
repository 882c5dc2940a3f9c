"""A provider for tests: it keeps what it is given and answers as it is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable

from notify.channels import base
from notify.channels.base import Call, Stage
from notify.model import Channel, Dispatch, Outcome, OutcomeKind

#: What the provider answers to a dispatch. It may wait (the call's time-out then ends it) and may raise.
Script = Callable[[Dispatch], Outcome | Awaitable[Outcome]]


class MemoryProvider:
    """Keeps every call in `calls`; what the outside world would have received is in `accepted`.

    Without a script everything is ACCEPTED. A script that raises or hangs is treated as a real provider's trouble:
    an OSError or a time-out after the message was handed over is UNKNOWN.
    """

    def __init__(
        self,
        channel: Channel = Channel.EMAIL,
        script: Script | None = None,
        *,
        id: str = "memory",
        idempotent: bool = False,
        timeout: float = 5,
        concurrency: int = 100,
    ) -> None:
        """With `idempotent`, an id that was accepted before is ACCEPTED again without asking the script."""
        self.id = id
        self.channel = channel
        self.idempotent = idempotent
        self.timeout = timeout
        self.concurrency = concurrency
        self.script = script
        #: Every call made, in the order in which they began.
        self.calls: list[Dispatch] = []
        #: Every dispatch that was accepted, in the order of acceptance; an idempotent provider has each id once.
        self.accepted: list[Dispatch] = []
        self._ids: set[str] = set()

    async def send(self, dispatches: Sequence[Dispatch]) -> list[Outcome]:
        """Ask the script for each dispatch, `concurrency` at once."""
        return await base.send_each(dispatches, self._send, concurrency=self.concurrency, timeout=self.timeout)

    async def aclose(self) -> None:
        """Nothing is open; what was kept stays."""

    def to(self, who: str) -> list[Dispatch]:
        """What `who`, a subscriber's id or an address, was sent and the provider accepted."""
        return [one for one in self.accepted if who in (one.subscriber, one.address)]

    def clear(self) -> None:
        """Forget all calls; the script stays."""
        self.calls.clear()
        self.accepted.clear()
        self._ids.clear()

    async def _send(self, call: Call) -> Outcome:
        dispatch = call.dispatch
        call.stage = Stage.HANDED_OVER
        self.calls.append(dispatch)
        if self.idempotent and dispatch.id in self._ids:
            return _accepted(dispatch)
        outcome = await self._answer(dispatch)
        if outcome.kind is OutcomeKind.ACCEPTED:
            self.accepted.append(dispatch)
            self._ids.add(dispatch.id)
        return outcome

    async def _answer(self, dispatch: Dispatch) -> Outcome:
        answer = self.script(dispatch) if self.script else _accepted(dispatch)
        return await answer if isawaitable(answer) else answer


def _accepted(dispatch: Dispatch) -> Outcome:
    return Outcome(OutcomeKind.ACCEPTED, provider_message_id=dispatch.id)
