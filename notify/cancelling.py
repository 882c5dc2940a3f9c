"""Rules by which one event ends what another one started."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from notify.errors import InvalidInput
from notify.expressions import MISSING, Expression, expression, path_value
from notify.model import Event


@dataclass(frozen=True, slots=True)
class CancelOn:
    """An event that ends unfinished notifications of the workflow that it matches, sent messages excepted.

    It matches where it has an equal value under `key`, or where `match` holds: a path, or an expression over the
    notification's own `event` and the newer one, `async` (as for `wait_for_event`). `reason` is kept with each; a
    function gets (its event, the newer event) and answers None to leave it alone.
    """

    event: str
    key: str = ""
    reason: str | Callable[[Event, Event], str | None] = "cancelled"
    match: str | None = None

    def __post_init__(self) -> None:
        field = f"cancel_on {self.event}"
        if bool(self.key) is (self.match is not None):
            raise InvalidInput(field=field, problem="has to say which notifications", remedy="Give it a key or a match")
        if self.match is not None:
            expression(self.match, f"{field}.match")

    @property
    def _expression(self) -> Expression | None:
        return None if self.match is None else expression(self.match, f"cancel_on {self.event}.match")

    @property
    def own_path(self) -> str:
        """Where a notification's own event has the value by which it is found; "" where all of them are asked."""
        found = self._expression
        return f"data.{self.key}" if found is None else found.path[0] if found.path else ""

    def key_of(self, event: Event) -> str | None:
        """The value of a newer event that a notification's own must equal; None where it ends nothing."""
        found = self._expression
        path = f"data.{self.key}" if found is None else found.path[1] if found.path else ""
        return key_at(event, path)

    def holds(self, own: Event, newer: Event) -> bool:
        """Whether the rest of what is asked holds, too."""
        found = self._expression
        return found is None or found.holds(own, newer)


class Cancelled(int):
    """How many were cancelled: a number, and of what kinds they were."""

    waiting: int
    collecting: int
    messages: int
    ahead: int

    @classmethod
    def of(cls, *, waiting: int, collecting: int, messages: int, ahead: int) -> Cancelled:
        """The sum of notifications that waited or were at work, of those in open digests, of messages, and events."""
        made = cls(waiting + collecting + messages + ahead)
        made.waiting, made.collecting, made.messages, made.ahead = waiting, collecting, messages, ahead
        return made

    def __str__(self) -> str:
        kinds = {
            "waiting": self.waiting,
            "collecting in a digest": self.collecting,
            "to be sent later": self.messages,
            "ahead": self.ahead,
        }
        parts = ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
        return f"{int(self)} cancelled{': ' if parts else ''}{parts}"


def key_at(event: Event, path: str) -> str | None:
    """The value at a path as a notification keeps it; "" stands for no path, None for no value."""
    value = path_value(event, path) if path else ""
    return None if value is MISSING or value is None else str(value)
