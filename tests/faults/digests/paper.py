"""Digest windows as one draws them on paper: events on a line, one after the other, and a stroke where each ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass
class Item:
    """An event of one person, or a digest that another one collects."""

    ts: datetime
    #: Which of several at the same instant comes first.
    order: str
    numbers: tuple[int, ...]
    #: It was cancelled; where a window begins with it, that still ends when it would have.
    ghost: bool = False


@dataclass(frozen=True)
class Drawn:
    """A window that is over; the ghosts among its items are told nobody."""

    items: Sequence[Item]
    ends: datetime


@dataclass(frozen=True)
class Length:
    """Minutes a window lasts; by mode the minutes it may last at most, those it looks back, and what fills it."""

    minutes: int
    most: int | None = None
    back: int | None = None
    capacity: int | None = None

    @property
    def counts(self) -> bool:
        """Whether it matters who comes first of those that happen at one instant, which nobody can say."""
        return self.back is not None or self.capacity is not None

    def over(self, items: Sequence[Item], seen: datetime | None, now: datetime) -> tuple[list[Drawn], list[Item]]:
        """The windows of these items (in order) that are over, and what the last one still collects.

        `seen` is when an earlier window of the same key last had an event.
        """
        drawn: list[Drawn] = []
        window: list[Item] = []
        for item in self._counting(items):
            if window and item.ts >= self.end(window):
                drawn.append(Drawn(window, self.end(window)))
                window = []
            passes = not window and self._is_quiet(seen, item)
            window.append(item)
            seen = max(seen or item.ts, item.ts)
            if passes or len(living(window)) == self.capacity:
                drawn.append(Drawn(window, item.ts))
                window = []
        if window and self.end(window) <= now:
            drawn.append(Drawn(window, self.end(window)))
            window = []
        return drawn, window

    def _counting(self, items: Sequence[Item]) -> Sequence[Item]:
        """Who looks back sees what there is: a ghost was never there."""
        return items if self.back is None else living(items)

    def _is_quiet(self, seen: datetime | None, item: Item) -> bool:
        return self.back is not None and (seen is None or item.ts - seen >= timedelta(minutes=self.back))

    def end(self, window: Sequence[Item]) -> datetime:
        """When a window that begins with these ends unless more comes."""
        begins, length = window[0].ts, timedelta(minutes=self.minutes)
        if self.most is None:
            return begins + length
        latest = max((item.ts for item in living(window)), default=begins)
        return min(latest + length, begins + timedelta(minutes=self.most))

    def may_end(self, live: Sequence[datetime], ghosts: Sequence[datetime], ends: datetime) -> bool:
        """Whether a window that tells of these instants may end there, whatever else happened."""
        if len(live) == self.capacity and ends == live[-1]:
            return True
        if self.back is not None and list(live) == [ends]:
            return True
        begins = [live[0]] if self.back is not None else [live[0], *(ts for ts in ghosts if ts <= live[0])]
        lengths = [timedelta(minutes=self.minutes if self.most is None else self.most)]
        quiet = self.most is not None and ends == live[-1] + timedelta(minutes=self.minutes)
        quiet = quiet and ends <= live[0] + lengths[0]
        return live[-1] < ends and (quiet or any(ends - begin in lengths for begin in begins))


@dataclass(frozen=True)
class Calendar:
    """A window ends at an instant that follows from its first event and from where the person lives."""

    slot: Callable[[datetime, str], datetime]


Rule = Length | Calendar


def living(items: Sequence[Item]) -> list[Item]:
    """Without the ghosts."""
    return [item for item in items if not item.ghost]


def numbers(items: Sequence[Item]) -> Iterator[int]:
    """Which events these items tell of."""
    return (number for item in living(items) for number in item.numbers)
