"""What people write about a calendar, read into slots: every day at 09:00, the last Friday of a month, cron."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, time, timedelta
from itertools import takewhile
from typing import Any

from cronsim import CronSim, CronSimError

from notify.errors import InvalidInput
from notify.timing.dates import LAST, Cron, Dates, Monthly, Ordinal, Weekly
from notify.timing.slots import Slots, slots_of
from notify.timing.wording import EVERY_DAY, GROUPS, MIDNIGHT, WEEK, clock, listed, minute_of_day, run_of_days, several
from notify.timing.wording import weekdays as days_of_the_week

#: What a rule takes besides `every`.
_TAKES = {
    "minute": {"interval", "weekdays"},
    "hour": {"interval", "minutes", "weekdays"},
    "day": {"at", "weekdays"},
    "week": {"at", "weekdays"},
    "month": {"at", "month_days", "ordinal", "weekdays"},
}
_NAMES = ("first", "second", "third", "fourth", "fifth")
_ORDINALS = {name: place for place, name in enumerate(_NAMES, 1)} | {"last": LAST}
#: A day that surely exists: on it cron's times are read.
_SOME_DAY = datetime(2000, 1, 1)


def timed(
    field: str,
    *,
    every: str = "day",
    at: time | str | Iterable[time | str] | None = None,
    minutes: int | str | Iterable[int | str] | None = None,
    weekdays: str | int | Iterable[str | int] | None = None,
    month_days: int | str | Iterable[int | str] | None = None,
    ordinal: int | str | Iterable[int | str] | None = None,
    interval: int = 1,
) -> Slots:
    """A rule in parts; each but `every` and `interval` takes one value or several. `field` is named in errors.

    - every minute, every hour at `minutes` (0); with `interval=15` every 15 minutes from the full hour on, with
      `interval=2` every second hour from midnight on; on `weekdays`
    - every day or week `at` those times, on `weekdays` (a week's: Monday)
    - every month `at` those times, on `month_days` (the 1st; "last" is the last, as is any day that a month does not
      have), or on the `ordinal` (1 to 5 or "last") of `weekdays`: `ordinal="last", weekdays="friday"`. "day", "weekday"
      and "weekend" are counted together: the first "weekday" is the first day from Monday to Friday. A fifth comes
      only in months that have five.
    """
    parts = {"at": at, "minutes": minutes, "weekdays": weekdays, "month_days": month_days, "ordinal": ordinal}
    given = [name for name, value in parts.items() if value is not None]
    _fitting(field, every, given if interval == 1 else [*given, "interval"])
    if every in ("minute", "hour"):
        return _through_the_day(field, every, minutes, weekdays, interval)
    times = _times(f"{field}.at", at)
    if every == "month":
        dates, on = _in_a_month(field, month_days, ordinal, weekdays)
    else:
        dates, on = _in_a_week(field, "monday" if weekdays is None and every == "week" else weekdays)
    return slots_of(f"{on} at {listed([clock(at) for at in times])}", dates, times)


def _fitting(field: str, every: str, given: Iterable[str]) -> None:
    if every not in _TAKES:
        raise InvalidInput(
            field=f"{field}.every", problem=f"{every!r} is no rhythm", remedy=f"Use one of {', '.join(_TAKES)}"
        )
    for name in given:
        if name not in _TAKES[every]:
            remedy = f"Leave it out, or use every={_taking(name)!r}"
            raise InvalidInput(field=f"{field}.{name}", problem=f"means nothing with every={every!r}", remedy=remedy)


def _taking(name: str) -> str:
    return next(every for every, takes in _TAKES.items() if name in takes)


def _through_the_day(field: str, every: str, minutes: Any, weekdays: Any, interval: int) -> Slots:
    dates, on = _some_days(field, weekdays)
    if every == "minute":
        rhythm = _rhythm(field, every, interval, 60, "hour")
        return slots_of(f"{rhythm}{on}", dates, range(0, MIDNIGHT, interval))
    rhythm = _rhythm(field, every, interval, 24, "day")
    hands = _numbers(0 if minutes is None else minutes, f"{field}.minutes", "minute of an hour", range(60))
    times = [hour * 60 + minute for hour in range(0, 24, interval) for minute in hands]
    return slots_of(f"{rhythm} at {listed([f':{minute:02}' for minute in hands])}{on}", dates, times)


def _rhythm(field: str, every: str, interval: Any, whole: int, of: str) -> str:
    if type(interval) is not int or not 1 <= interval < whole or whole % interval:
        even = ", ".join(str(step) for step in range(1, whole) if whole % step == 0)
        problem = f"every {interval!r} {every}s is not the same in each {of}"
        raise InvalidInput(field=f"{field}.interval", problem=problem, remedy=f"Use one of {even}")
    return f"every {every}" if interval == 1 else f"every {interval} {every}s"


def _some_days(field: str, weekdays: Any) -> tuple[Dates, str]:
    days = EVERY_DAY if weekdays is None else days_of_the_week(weekdays, f"{field}.weekdays")
    if days == EVERY_DAY:
        return Weekly(days), ""
    if ends := run_of_days(days):
        return Weekly(days), " from {} to {}".format(*ends)
    return Weekly(days), f" on {listed([WEEK[day] for day in sorted(days)])}"


def _in_a_week(field: str, weekdays: Any) -> tuple[Dates, str]:
    dates, on = _some_days(field, weekdays)
    return dates, f"every {on.removeprefix(' on ')}" if on.startswith(" on ") else f"every day{on}"


def _in_a_month(field: str, month_days: Any, ordinal: Any, weekdays: Any) -> tuple[Dates, str]:
    if ordinal is None and weekdays is None:
        return _on_month_days(f"{field}.month_days", 1 if month_days is None else month_days)
    if ordinal is None or weekdays is None or month_days is not None:
        raise InvalidInput(
            field=f"{field}.ordinal",
            problem="ordinal and weekdays go together, and without month_days",
            remedy='Write ordinal="last", weekdays="friday", or month_days="1,15"',
        )
    return _on_ordinals(field, ordinal, weekdays)


def _on_month_days(field: str, month_days: Any) -> tuple[Dates, str]:
    days = _numbers(month_days, field, "day of a month", range(1, 32), {"last": LAST})
    return Monthly(frozenset(days)), f"on {listed([_day_of_month(day) for day in days])} of each month"


def _on_ordinals(field: str, ordinal: Any, weekdays: Any) -> tuple[Dates, str]:
    places = _numbers(ordinal, f"{field}.ordinal", "place in a month", range(1, 6), _ORDINALS)
    groups = _groups(weekdays, f"{field}.weekdays")
    which = listed(["last" if place == LAST else _NAMES[place - 1] for place in places])
    return Ordinal(frozenset(places), tuple(groups.values())), f"on the {which} {listed(list(groups))} of each month"


def _groups(weekdays: Any, field: str) -> dict[str, frozenset[int]]:
    """Days counted together, under their name: one day of the week, or all that "weekday" stands for."""
    parts = several(weekdays)
    days_of_the_week(parts, field)
    return dict(_group(part, field) for part in parts)


def _group(part: Any, field: str) -> tuple[str, frozenset[int]]:
    if isinstance(part, str) and part.lower() in GROUPS:
        return part.lower(), GROUPS[part.lower()]
    days = days_of_the_week(part, field)
    if len(days) > 1:
        raise InvalidInput(
            field=field,
            problem=f"{part!r} could be counted together or each by itself",
            remedy='Write "weekday" for Monday to Friday together, or name each day: "mon,tue"',
        )
    return WEEK[min(days)], days


def _day_of_month(day: int) -> str:
    if day == LAST:
        return "the last day"
    ending = "th" if day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"the {day}{ending}"


def _times(field: str, at: Any) -> list[int]:
    times = {minute_of_day(part, field) for part in several(() if at is None else at)}
    if not times:
        raise InvalidInput(field=field, problem="no time of the day", remedy='Add one, as in at="09:00"')
    return sorted(times)


def _numbers(value: Any, field: str, what: str, numbers: range, names: Mapping[str, int] | None = None) -> list[int]:
    """The numbers in order, the last of a month at the end."""
    known = {str(number): number for number in [*numbers, *(names or {}).values()]} | dict(names or {})
    spelled = [str(part).lower() for part in several(value)]
    if not spelled or not known.keys() >= set(spelled):
        allowed = f"{numbers[0]} to {numbers[-1]}" + (' or "last"' if names else "")
        raise InvalidInput(field=field, problem=f"{value!r} is no {what}", remedy=f"Use {allowed}")
    return sorted({known[word] for word in spelled}, key=lambda number: (number == LAST, number))


def cron(expression: str, field: str) -> Slots:
    """A rule in five fields: minute, hour, day of the month, month, day of the week. `field` is named in errors.

    Days are cron's own: the 31st comes only in months that have one, "L" is the last, "5L" the last Friday, and where
    both day fields are set either will do.
    """
    minute, hour, days = _fields(expression, field)
    try:
        times = list(_cron_times(minute, hour))
        never = next(Cron(days).since(_SOME_DAY.date()), None) is None
    except CronSimError as error:
        raise _no_cron(field, f"{expression!r} has a {str(error).lower()}") from None
    if never:
        raise _no_cron(field, f"{expression!r} never comes")
    return slots_of(f"cron {minute} {hour} {days}", Cron(days), times)


def _fields(expression: Any, field: str) -> tuple[str, str, str]:
    fields = expression.split() if isinstance(expression, str) else []
    if len(fields) != 5:
        raise _no_cron(field, f"{expression!r} has not five fields")
    return fields[0], fields[1], " ".join(fields[2:])


def _no_cron(field: str, problem: str) -> InvalidInput:
    return InvalidInput(
        field=field, problem=problem, remedy='Write minute, hour, day, month and weekday, as in "0 9 * * 1-5"'
    )


def _cron_times(minute: str, hour: str) -> Iterator[int]:
    ticks = CronSim(f"{minute} {hour} * * *", _SOME_DAY - timedelta(seconds=1))
    today = takewhile(lambda tick: tick.date() == _SOME_DAY.date(), ticks)
    return (tick.hour * 60 + tick.minute for tick in today)
