"""How many messages may reach a person within a while, whatever the workflows. Pure: the caller brings the instants."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from notify.errors import InvalidSetting
from notify.model import INTERRUPTING, Channel

#: Stands for every channel that interrupts, together.
ALL = "all"
_WINDOWS = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}
_ONE = re.compile(r"(?P<channel>\w+)\s*:\s*(?P<limit>\d{1,9})\s*/\s*(?P<window>\w+)")
#: A message that went out, or is to go out: when, and on which channel.
Spent = tuple[datetime, Channel]


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `limit` messages within any stretch of `window`; `channel` None counts every one that interrupts."""

    channel: Channel | None
    limit: int
    window: timedelta

    def concerns(self, channel: Channel) -> bool:
        """Whether a message on this channel is counted."""
        return channel in INTERRUPTING and self.channel in (None, channel)


def parse(text: str, name: str) -> tuple[Budget, ...]:
    """Budgets from "email: 10/day, push: 3/hour, all: 20/day"; nonsense is an InvalidSetting under `name`."""
    return tuple(_budget(part.strip(), name) for part in text.split(",") if part.strip())


def _budget(text: str, name: str) -> Budget:
    found = _ONE.fullmatch(text.lower())
    if found is None or not int(found["limit"]):
        raise _invalid(name, text, "is no budget")
    if found["window"] not in _WINDOWS:
        raise _invalid(name, text, f"no such window as {found['window']!r}: minute, hour, day or week")
    return Budget(_channel(found["channel"], text, name), int(found["limit"]), _WINDOWS[found["window"]])


def _channel(word: str, text: str, name: str) -> Channel | None:
    known = {channel.value: channel for channel in INTERRUPTING}
    if word not in known and word != ALL:
        raise _invalid(name, text, f"no budget is for {word!r}: {', '.join(known)} or {ALL}")
    return known.get(word)


def _invalid(name: str, text: str, problem: str) -> InvalidSetting:
    return InvalidSetting(
        name=name, value=text, problem=problem, remedy='Write it as in "email: 10/day, push: 3/hour, all: 20/day"'
    )


def longest(budgets: Iterable[Budget]) -> timedelta:
    """How far back counts."""
    return max((budget.window for budget in budgets), default=timedelta())


def room(budgets: Sequence[Budget], channel: Channel, spent: Collection[Spent], now: datetime) -> datetime:
    """The first instant, now or later, at which one more message on this channel is within every budget.

    `spent` may lie in the future, in any order. Windows slide: a message counts until its window has passed.
    """
    at = now
    while (later := max((_room(one, spent, at) for one in budgets if one.concerns(channel)), default=at)) > at:
        at = later
    return at


def _room(budget: Budget, spent: Iterable[Spent], at: datetime) -> datetime:
    counted = (instant for instant, channel in spent if budget.concerns(channel))
    within = sorted(instant for instant in counted if at - budget.window < instant <= at)
    return at if len(within) < budget.limit else within[-budget.limit] + budget.window
