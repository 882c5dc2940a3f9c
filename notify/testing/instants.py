"""Instants as a test writes them: `2026-03-28 22:00 Europe/Rome`."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import available_timezones

from notify.errors import InvalidInput
from notify.testing.meant import meant
from notify.timing import existing, zone

_EXAMPLE = 'Write it like "2026-03-28 22:00 Europe/Rome"'


def beginning(at: str) -> tuple[datetime, str]:
    """The instant, and the name of the zone it is told in."""
    wall, name = _parted(at)
    if name is None:
        raise InvalidInput(field="at", problem=f"{at!r} names no zone", remedy=_EXAMPLE)
    return _instant(wall, known_zone(name, "at"), "at"), name


def instant(at: str | datetime, zone_name: str, field: str) -> datetime:
    """An aware datetime as it is, a text in this zone unless it names another."""
    if isinstance(at, datetime):
        if at.tzinfo is None:
            raise InvalidInput(field=field, problem=f"{at!r} has no zone", remedy="Give it a tzinfo, or write a text")
        return at.astimezone(UTC)
    wall, name = _parted(at)
    return _instant(wall, known_zone(name, field) if name else zone_name, field)


def _parted(at: str) -> tuple[str, str | None]:
    """What the clock says, and the zone where one follows it."""
    wall, _, last = at.strip().rpartition(" ")
    return (wall, last) if wall and last[0].isalpha() else (at.strip(), None)


def _instant(wall: str, zone_name: str, field: str) -> datetime:
    """A time that the clocks skip is the end of the gap, one that comes twice the first."""
    try:
        told = datetime.fromisoformat(wall)
    except ValueError:
        raise InvalidInput(field=field, problem=f"{wall!r} is no date and time", remedy=_EXAMPLE) from None
    return told.astimezone(UTC) if told.tzinfo else existing(told.replace(tzinfo=zone(zone_name)))


def known_zone(name: str, field: str) -> str:
    """The zone's name, or InvalidInput with the name that was meant."""
    if zone(name).key != name:
        remedy = meant(name, available_timezones()) or "Use a name such as Europe/Rome"
        raise InvalidInput(field=field, problem=f"no zone is called {name!r}", remedy=remedy)
    return name


def written(instant: datetime) -> str:
    """As a test would write it: `2026-03-28 22:00`, with seconds where there are some."""
    return f"{instant:%Y-%m-%d %H:%M:%S}".removesuffix(":00")
