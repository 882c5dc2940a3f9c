"""Instants: when somebody wakes, when a window ends, when to try again. Pure; the present is always an argument."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

#: Retries wait 1 s, 2 s, 4 s … (factor 2, least wait 1 s), an hour at most.
_FIRST_RETRY = timedelta(seconds=1)
_LONGEST_RETRY = timedelta(hours=1)


def retry_at(tries: int, now: datetime) -> datetime:
    """When to try again after `tries` failures."""
    return now + min(_FIRST_RETRY * 2 ** min(tries - 1, 20), _LONGEST_RETRY)


@lru_cache(512)
def zone(name: str | None) -> ZoneInfo:
    """The person's zone; UTC where none is set or its name means nothing."""
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def next_tick(after: datetime, at: time, weekdays: frozenset[int], zone_name: str | None) -> datetime:
    """The first instant later than `after` at which it is `at` on one of `weekdays` in that zone, in UTC.

    A time that a change of the clocks skips fires when the gap ends; one that comes twice fires the first time.
    """
    local = zone(zone_name)
    day = after.astimezone(local).date()
    for ahead in range(15):
        date = day + timedelta(days=ahead)
        if date.weekday() in weekdays:
            tick = _existing(datetime.combine(date, at, local))
            if tick > after:
                return tick
    raise ValueError("no weekday given")


def _existing(wall: datetime) -> datetime:
    """The instant of a local time; of one that the clocks skip, the end of the gap."""
    instant = wall.replace(fold=0).astimezone(UTC)
    if instant.astimezone(wall.tzinfo).replace(tzinfo=None) == wall.replace(tzinfo=None):
        return instant
    # In a gap fold=1 reads the time with the offset after it, which is as much too early as fold=0 is too late.
    early, late = wall.replace(fold=1).astimezone(UTC), instant
    return _change(early, late, wall.tzinfo)


def _change(early: datetime, late: datetime, local: tzinfo | None) -> datetime:
    """The instant between the two at which the zone's offset changes, to the second."""
    while late - early > timedelta(seconds=1):
        middle = early + (late - early) / 2
        if middle.astimezone(local).utcoffset() == early.astimezone(local).utcoffset():
            early = middle
        else:
            late = middle
    return late.replace(microsecond=0)


#: The longest stretch an alarm covers.
WIDEST = timedelta(hours=1)


def alarm_bucket(instant: datetime, now: datetime) -> datetime:
    """The end of the stretch an alarm covers: a second within the hour, a minute within the day, an hour beyond."""
    ahead = (instant - now).total_seconds()
    width = 1 if ahead <= 3600 else 60 if ahead <= 86400 else 3600
    return datetime.fromtimestamp(-(-instant.timestamp() // width) * width, UTC)


def spoken(instant: datetime, now: datetime) -> str:
    """The instant as an operator reads it: `2 Jan 09:00 UTC`, with seconds within the hour."""
    near = abs(instant - now) <= timedelta(hours=1)
    return f"{instant:%-d %b %H:%M:%S} UTC" if near else f"{instant:%-d %b %H:%M} UTC"
