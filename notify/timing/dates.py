"""Rules that choose days, month by month: of the week, of the month, the last Friday, cron's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from calendar import monthrange
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache

from cronsim import CronSim

#: As a day of the month, or as its how manyth Friday.
LAST = -1
#: The longest stretch without a 29 February that is a Monday is forty years.
_HORIZON = 50 * 12


class Dates(ABC):
    """A rule that chooses days. A value: equal rules choose the same days."""

    @abstractmethod
    def of(self, year: int, month: int) -> Iterable[int]:
        """The days of a month that the rule chooses."""

    def since(self, day: date) -> Iterator[date]:
        """The days it chooses, from this one on, in order; of a rule that never comes, none."""
        first = day.year * 12 + day.month - 1
        for months in range(first, first + _HORIZON):
            year, month = months // 12, months % 12 + 1
            for number in _chosen(self, year, month):
                if (found := date(year, month, number)) >= day:
                    yield found


@lru_cache(4096)
def _chosen(dates: Dates, year: int, month: int) -> tuple[int, ...]:
    return tuple(sorted(set(dates.of(year, month))))


@dataclass(frozen=True, slots=True)
class Weekly(Dates):
    """Days of the week; Monday is 0."""

    weekdays: frozenset[int]

    def of(self, year: int, month: int) -> Iterable[int]:
        return _those(year, month, self.weekdays)


@dataclass(frozen=True, slots=True)
class Monthly(Dates):
    """Days of the month; of one that a month does not have, its last."""

    days: frozenset[int]

    def of(self, year: int, month: int) -> Iterable[int]:
        last = monthrange(year, month)[1]
        return [last if day == LAST else min(day, last) for day in self.days]


@dataclass(frozen=True, slots=True)
class Ordinal(Dates):
    """The first, second … or last of a month's days that fall on these days of the week.

    Days of the week in one group are counted together: the last of Monday to Friday is one day a month. The fifth
    comes only in months that have one.
    """

    places: frozenset[int]
    groups: tuple[frozenset[int], ...]

    def of(self, year: int, month: int) -> Iterable[int]:
        for group in self.groups:
            days = _those(year, month, group)
            yield from (days[-1] if place == LAST else days[place - 1] for place in self.places if place <= len(days))


def _those(year: int, month: int, weekdays: Collection[int]) -> list[int]:
    first, days = monthrange(year, month)
    return [day for day in range(1, days + 1) if (first + day - 1) % 7 in weekdays]


@dataclass(frozen=True, slots=True)
class Cron(Dates):
    """The last three fields of a cron expression: day of the month, month, day of the week."""

    fields: str

    def of(self, year: int, month: int) -> Iterable[int]:
        eve = datetime(year, month, 1) - timedelta(seconds=1)
        for tick in CronSim(f"0 0 {self.fields}", eve):
            if (tick.year, tick.month) != (year, month):
                return
            yield tick.day
