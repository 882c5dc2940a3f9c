"""Days of the week and times of the day, as people write them and as they read them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from datetime import time
from typing import Any, cast

from notify.errors import InvalidInput

WEEK = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
EVERY_DAY = frozenset(range(7))
#: Names that stand for several days.
GROUPS = {"day": EVERY_DAY, "weekday": frozenset(range(5)), "weekend": frozenset({5, 6})}
#: Minutes in a day; as a time of the day, its end.
MIDNIGHT = 24 * 60

_DAYS_REMEDY = 'Write days as "mon-fri", "mon,thu" or "sunday"'
_TIME = re.compile(r"(\d{1,2}):([0-5]\d)(?:\s*([ap])m)?")


def several(value: Any) -> list[Any]:
    """The values of a field that takes one or many; a text may hold many between commas."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    if isinstance(value, Iterable):
        return list(cast("Iterable[Any]", value))
    return [value]


def weekdays(value: Any, field: str) -> frozenset[int]:
    """Days of the week, Monday is 0: from "mon-fri", "mon,thu", "sunday", "weekend", 6, or several of these."""
    days = frozenset(day for part in several(value) for day in _days(part, field))
    if not days:
        raise InvalidInput(field=field, problem="no day of the week", remedy=_DAYS_REMEDY)
    return days


def _days(part: Any, field: str) -> Collection[int]:
    if not isinstance(part, str):
        return (_weekday(part, field),)
    if part.lower() in GROUPS:
        return GROUPS[part.lower()]
    first, dash, last = part.partition("-")
    start = weekday(first, field)
    end = weekday(last, field) if dash else start
    return [(start + ahead) % 7 for ahead in range((end - start) % 7 + 1)]


def weekday(name: str, field: str) -> int:
    """One day by its name or the first letters of it, three at least."""
    word = name.strip().lower()
    found = [day for day, full in enumerate(WEEK) if len(word) >= 3 and full.lower().startswith(word)]
    return found[0] if found else _weekday(name, field)


def _weekday(value: Any, field: str) -> int:
    if type(value) is int and value in EVERY_DAY:
        return value
    raise InvalidInput(field=field, problem=f"{value!r} is no day of the week", remedy=_DAYS_REMEDY)


def minute_of_day(value: Any, field: str, latest: int = MIDNIGHT - 1) -> int:
    """A time of the day in minutes since midnight, from "09:00", "9:00 PM" or a time without zone and seconds."""
    minutes = _whole_minutes(value) if isinstance(value, time) else _spelled(value)
    if minutes is None or minutes > latest:
        raise InvalidInput(
            field=field, problem=f"{value!r} is no time of the day", remedy='Write hours and minutes, as in "09:00"'
        )
    return minutes


def _whole_minutes(at: time) -> int | None:
    return None if at.tzinfo or at.second or at.microsecond else at.hour * 60 + at.minute


def _spelled(value: Any) -> int | None:
    found = _TIME.fullmatch(value.strip().lower()) if isinstance(value, str) else None
    if found is None:
        return None
    hour, minute, half = int(found[1]), int(found[2]), found[3]
    if half and not 1 <= hour <= 12:
        return None
    return (hour % 12 + 12 * (half == "p") if half else hour) * 60 + minute


def clock(minutes: int) -> str:
    """Minutes since midnight as a time: 09:00."""
    return f"{minutes // 60:02}:{minutes % 60:02}"


def clock_in_halves(minutes: int) -> str:
    """The same with a clock of twelve hours: 09:00 AM; of the day's end, 12:00 AM."""
    hour, minute = divmod(minutes % MIDNIGHT, 60)
    return f"{(hour - 1) % 12 + 1:02}:{minute:02} {'AM' if hour < 12 else 'PM'}"


def listed(words: Sequence[str]) -> str:
    """The words in one line: "a", "a and b", "a, b and c"."""
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def run_of_days(days: Collection[int]) -> tuple[str, str] | None:
    """The first and the last of three or more days in a row, across Sunday too; None of all seven and of any other."""
    starts = [day for day in days if (day - 1) % 7 not in days]
    if len(days) < 3 or len(starts) != 1:
        return None
    return WEEK[starts[0]], WEEK[(starts[0] + len(days) - 1) % 7]
