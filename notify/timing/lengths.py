"""How long something lasts: months and days by the calendar of a place, everything smaller exactly."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from notify.clock import FARTHEST
from notify.errors import InvalidInput
from notify.timing.zones import existing, zone

_REMEDY = 'Write months, weeks, days, hours, minutes or seconds, or a text such as "3d" or "1h30m"'
_SHORT = {"mo": "months", "w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")


@dataclass(frozen=True, slots=True)
class Length:
    """A stretch of time; `days` are days of the calendar, which may have 23 or 25 hours."""

    months: int = 0
    days: int = 0
    exact: timedelta = timedelta()

    @property
    def exactly(self) -> timedelta:
        """The same in days of 24 hours; months have no such length and are left out."""
        return timedelta(days=self.days) + self.exact


_LONGEST = Length(12 * 100, FARTHEST.days, FARTHEST)


def length(value: Any, field: str) -> Length:
    """A length from `{"days": 1}`, `{"amount": 1, "unit": "days"}`, "1d", a timedelta; `field` is named in errors.

    Weeks and days are days of the calendar, a part of a day and a timedelta are exact. A hundred years is the longest.
    """
    parts = _parts(value, field)
    try:
        made = _made(**parts)
    except (TypeError, ValueError, OverflowError):
        raise InvalidInput(field=field, problem=f"{value!r} is no length of time", remedy=_REMEDY) from None
    if made == Length() or min(parts.values()) < 0:
        raise InvalidInput(field=field, problem=f"{value!r} is no wait", remedy="Give it a positive length")
    if parts.get("months", 0) % 1:
        raise InvalidInput(field=field, problem="a part of a month", remedy="Use whole months, or days")
    if made.months > _LONGEST.months or made.days > _LONGEST.days or made.exact > _LONGEST.exact:
        raise InvalidInput(field=field, problem=f"{value!r} is over a hundred years", remedy="Give it a shorter length")
    return made


def _made(*, months: float = 0, weeks: float = 0, days: float = 0, **exact: float) -> Length:
    if any(type(part) not in (int, float) for part in (months, weeks, days, *exact.values())):
        raise TypeError
    whole, part = divmod(weeks * 7 + days, 1)
    return Length(int(months), int(whole), timedelta(days=part, **exact))


def _parts(value: Any, field: str) -> dict[str, float]:
    if isinstance(value, timedelta):
        return {"seconds": value.total_seconds()}
    if isinstance(value, str):
        return _spelled(value, field)
    if not isinstance(value, Mapping):
        raise InvalidInput(field=field, problem=f"{value!r} is no length of time", remedy=_REMEDY)
    given = cast("Mapping[str, Any]", value)
    if {"amount", "unit"} == set(given):
        given = {f"{str(given['unit']).removesuffix('s')}s": given["amount"]}
    return dict(given)


def _spelled(text: str, field: str) -> dict[str, float]:
    found = _PART.findall(text.lower())
    names = [_SHORT.get(unit, f"{unit.removesuffix('s')}s") for _, unit in found]
    if not found or _PART.sub("", text.lower()).strip() or len(set(names)) < len(names):
        raise InvalidInput(field=field, problem=f"{text!r} is no length of time", remedy=_REMEDY)
    return {name: float(number) for name, (number, _) in zip(names, found, strict=True)}


def later(instant: datetime, wait: Length, zone_name: str | None) -> datetime:
    """The instant so much later, in UTC. Months and days keep the time of day in that zone, then the rest is added.

    A month that is too short ends on its last day (31 January and a month is the end of February). A time that the
    clocks skip is the end of the gap, one that comes twice the first.
    """
    instant = instant.astimezone(UTC)
    if wait.months or wait.days:
        instant = existing(_moved(instant.astimezone(zone(zone_name)), wait))
    return instant + wait.exact


def _moved(local: datetime, wait: Length) -> datetime:
    months = local.month - 1 + wait.months
    year, month = local.year + months // 12, months % 12 + 1
    return local.replace(year=year, month=month, day=min(local.day, monthrange(year, month)[1])) + timedelta(
        days=wait.days
    )
