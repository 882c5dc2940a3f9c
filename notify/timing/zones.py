"""Zones, and the instants of local times: of those the clocks skip, and of those that come twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from difflib import get_close_matches
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from notify.errors import InvalidInput


@lru_cache(512)
def zone(name: str | None) -> ZoneInfo:
    """The person's zone; UTC where none is set or its name means nothing."""
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def known_zone(name: str, field: str) -> str:
    """The name of a zone that there is, or an InvalidInput naming the field and, where one is near, what was meant."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = _near(name)
        remedy = f"Did you mean {near}?" if near else "Write one such as Europe/Rome, America/New_York or UTC"
        raise InvalidInput(field=field, problem=f"no time zone is called {name!r}", remedy=remedy) from None
    return name


@lru_cache(512)
def _near(name: str) -> str | None:
    """By its place alone, else by spelling: `rome`, `CET/Rome` and `Europe/Roma` are near Europe/Rome."""
    asked = name.strip().lower().replace(" ", "_")
    by_name, by_place = _zones()
    place = by_place.get(asked.rpartition("/")[2])
    return place or next((by_name[one] for one in get_close_matches(asked, by_name, 1)), None)


@cache
def _zones() -> tuple[dict[str, str], dict[str, str]]:
    """The zones somebody may have meant, by name and by place, in lower case; those of Etc count backwards."""
    names = sorted((name for name in available_timezones() if not name.startswith("Etc/")), reverse=True)
    return {name.lower(): name for name in names}, {name.lower().rpartition("/")[2]: name for name in names}


def existing(wall: datetime) -> datetime:
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
