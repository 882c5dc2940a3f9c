"""Rules of the calendar such as "every Monday at 09:00", and when they come next where somebody lives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from notify.timing.dates import Dates
from notify.timing.zones import existing, zone

_MINUTE = timedelta(minutes=1)
#: Every offset from UTC is a multiple of this.
_QUARTERS = range(0, 60, 15)


@dataclass(frozen=True, slots=True)
class Slots:
    """A rule of the calendar, made by `timed` or `cron`; printed, it is a sentence."""

    words: str
    dates: Dates
    #: Minutes since midnight, in order.
    times: tuple[int, ...] = ()
    #: In place of times: minutes of every hour.
    minutes: frozenset[int] = frozenset()

    def __str__(self) -> str:
        return self.words


def slots_of(words: str, dates: Dates, times: Iterable[int]) -> Slots:
    """A rule from the times of its days; times that are the same in each of the 24 hours name no hour."""
    ordered = tuple(sorted(set(times)))
    minutes = frozenset(at % 60 for at in ordered)
    return Slots(words, dates, minutes=minutes) if len(ordered) == 24 * len(minutes) else Slots(words, dates, ordered)


def next_slot(after: datetime, slots: Slots, zone_name: str | None) -> datetime:
    """The first instant later than `after` that the rule names in that zone, in UTC.

    A rule that names hours follows the clock on the wall: each of its times comes once on each of its days. A time
    that a change of the clocks skips comes when the gap ends, one that the clocks show twice comes the first time.
    A rule that is the same in every hour (every minute, every hour at :30, `cron 0 * * * *`) follows the minute hand:
    it comes whenever that stands there, so a day of 25 hours has an hour's slots more and one of 23 an hour's less.
    """
    local, after = zone(zone_name), after.astimezone(UTC)
    for day in slots.dates.since(after.astimezone(local).date()):
        ticks = _by_minute_hand(day, slots, local, after) if slots.minutes else _by_wall_clock(day, slots, local)
        for tick in ticks:
            if tick > after:
                return tick
    raise ValueError(f"{slots} never comes")


def _by_wall_clock(day: date, slots: Slots, local: tzinfo) -> Iterator[datetime]:
    return (existing(datetime.combine(day, time(*divmod(at, 60)), local)) for at in slots.times)


def _by_minute_hand(day: date, slots: Slots, local: tzinfo, after: datetime) -> Iterator[datetime]:
    start, end = (existing(datetime.combine(each, time(), local)) for each in (day, day + timedelta(days=1)))
    instant = max(start, after.replace(second=0, microsecond=0))
    while instant < end:
        if instant.astimezone(local).minute in slots.minutes:
            yield instant
        instant += _MINUTE


def quarters(slots: Slots) -> frozenset[int] | None:
    """The minutes of an hour in UTC at which the rule can come in any zone; None where that is every minute.

    A time that the clocks skip comes at the end of the gap, which may lie between two of these: whoever looks only
    then finds it at the next, less than a quarter of an hour later.
    """
    hands = slots.minutes or {at % 60 for at in slots.times}
    found = frozenset((minute + quarter) % 60 for minute in hands for quarter in _QUARTERS)
    return None if len(found) == 60 else found


def utc_cron(slots: Slots) -> str:
    """The cron expression, in UTC, of a deployment that looks whenever the rule can come in any zone."""
    minutes = quarters(slots)
    if minutes is None:
        return "* * * * *"
    step = 60 // len(minutes)
    if minutes == frozenset(range(0, 60, step)):
        return f"*/{step} * * * *"
    return f"{','.join(str(minute) for minute in sorted(minutes))} * * * *"
