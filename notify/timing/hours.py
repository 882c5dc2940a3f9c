"""The hours of the week in which messages may reach a person, and when they next begin where the person lives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import count
from typing import Any, cast

from notify.errors import InvalidInput
from notify.model import JsonObject
from notify.timing.wording import MIDNIGHT, WEEK, clock_in_halves, minute_of_day, several, weekday, weekdays
from notify.timing.zones import existing, zone

_REMEDY = 'Write {"mon-fri": "09:00-17:00"}, or {"isEnabled": true, "weeklySchedule": {"monday": {…}}}'
#: Days to look back for a stretch that goes over midnight.
_BACK = 1


@dataclass(frozen=True, slots=True)
class Day:
    """One day of the week: stretches from minute to minute since its midnight, an end past 1440 on the next day."""

    stretches: tuple[tuple[int, int], ...] = ()
    enabled: bool = False


@dataclass(frozen=True, slots=True)
class Hours:
    """The stretches of a week, Monday first. While not enabled they are only kept: every hour is open."""

    week: tuple[Day, ...] = (Day(),) * 7
    enabled: bool = False

    def on(self, weekday: int) -> tuple[tuple[int, int], ...]:
        """The stretches that begin on this day of the week."""
        return self.week[weekday].stretches if self.week[weekday].enabled else ()


def hours(value: Any, field: str) -> Hours:
    """Hours as they are stored, or short; None is always. `field` is named in errors.

    Stored: `{"isEnabled": true, "weeklySchedule": {"monday": {"isEnabled": true, "hours": [{"start": "09:00 AM",
    "end": "05:00 PM"}]}}}`. Short: `{"mon-fri": "09:00-17:00", "sat": ["10:00-12:00", "14:00-16:00"]}`. Either may
    write times as 09:00 AM or 09:00. A stretch whose end is not after its start goes over midnight; as an end,
    "12:00 AM" and "24:00" are midnight. A day that is not named is closed.
    """
    if value is None:
        return Hours()
    given = _object(value, field)
    stored = "isEnabled" in given or "weeklySchedule" in given
    made = _stored(given, field) if stored else Hours(_short(given, field), enabled=True)
    if made.enabled and not any(map(made.on, range(7))):
        raise InvalidInput(
            field=field, problem="no hours at all, so nothing would ever arrive", remedy="Add hours, or leave it out"
        )
    return made


def _object(value: Any, field: str) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value)
    raise InvalidInput(field=field, problem=f"{value!r} holds no hours", remedy=_REMEDY)


def _stored(given: Mapping[str, Any], field: str) -> Hours:
    place = f"{field}.weeklySchedule"
    named = _object(given.get("weeklySchedule") or {}, place)
    days = ((weekday(name, place), _stored_day(value, f"{place}.{name}")) for name, value in named.items())
    return Hours(_week(days, place), _switch(given, field))


def _stored_day(value: Any, field: str) -> Day:
    given = _object(value, field)
    parts = [_object(part, f"{field}.hours") for part in several(given.get("hours") or ())]
    stretches = sorted(_stretch(part.get("start"), part.get("end"), f"{field}.hours") for part in parts)
    return Day(tuple(stretches), _switch(given, field))


def _switch(given: Mapping[str, Any], field: str) -> bool:
    enabled = given.get("isEnabled", True)
    if isinstance(enabled, bool):
        return enabled
    raise InvalidInput(
        field=f"{field}.isEnabled", problem=f"{enabled!r} is neither true nor false", remedy="Write one of them"
    )


def _short(given: Mapping[str, Any], field: str) -> tuple[Day, ...]:
    days = (
        (day, _short_day(value, f"{field}.{names}")) for names, value in given.items() for day in weekdays(names, field)
    )
    return _week(days, field)


def _short_day(value: Any, field: str) -> Day:
    ends = [str(part).partition("-") for part in several(value)]
    return Day(tuple(sorted(_stretch(start, end, field) for start, _, end in ends)), enabled=True)


def _stretch(start: Any, end: Any, field: str) -> tuple[int, int]:
    begins, ends = minute_of_day(start, field), minute_of_day(end, field, latest=MIDNIGHT)
    return begins, ends if ends > begins else ends + MIDNIGHT


def _week(days: Iterable[tuple[int, Day]], field: str) -> tuple[Day, ...]:
    week: dict[int, Day] = {}
    for number, day in days:
        if number in week:
            raise InvalidInput(field=field, problem=f"{WEEK[number]} stands there twice", remedy="Name each day once")
        week[number] = day
    return tuple(week.get(number, Day()) for number in range(7))


def dump(hours: Hours) -> JsonObject:
    """The hours as they are stored, every day named; `hours(dump(x), field)` is `x` again."""
    week = {name.lower(): _dumped(day) for name, day in zip(WEEK, hours.week, strict=True)}
    return {"isEnabled": hours.enabled, "weeklySchedule": week}


def _dumped(day: Day) -> JsonObject:
    parts = [{"start": clock_in_halves(start), "end": clock_in_halves(end)} for start, end in day.stretches]
    return {"isEnabled": day.enabled, "hours": parts}


def next_open(instant: datetime, hours: Hours, zone_name: str | None) -> datetime:
    """This instant if the hours are open then, else the instant at which they next open, in UTC.

    A stretch is open from its start until before its end. Where the clocks skip one of them, the end of the gap stands
    for it, and hours that lie in the gap are left out that day. Where the clocks show a time twice, a stretch begins
    the first and ends the second time, so that nobody's hours get shorter.
    """
    instant, local = instant.astimezone(UTC), zone(zone_name)
    if not hours.enabled:
        return instant
    today = instant.astimezone(local).date()
    ahead = (stretch for days in count(-_BACK) for stretch in _open_on(today + timedelta(days=days), hours, local))
    return next(max(begins, instant) for begins, ends in ahead if ends > max(begins, instant))


def _open_on(day: date, hours: Hours, local: tzinfo) -> Iterator[tuple[datetime, datetime]]:
    midnight = datetime.combine(day, time(), local)
    for start, end in hours.on(day.weekday()):
        closing = midnight + timedelta(minutes=end)
        yield (
            existing(midnight + timedelta(minutes=start)),
            max(existing(closing), closing.replace(fold=1).astimezone(UTC)),
        )
