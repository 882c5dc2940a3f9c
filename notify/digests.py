"""What an author asks of a digest or of the calendar, checked and made into rules."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from notify import timing
from notify.errors import InvalidInput
from notify.model import DigestMode
from notify.steps import Digest, Unless
from notify.timing import Slots


def digest(
    name: str,
    by: str,
    modes: Mapping[str, Any],
    calendar: Mapping[str, Any],
    length: Mapping[str, float],
    unless: Unless | None,
    capacity: int | None,
    timezone: str | None,
) -> Digest:
    """The step these words ask for: of a length, or of the calendar; an InvalidInput names what is wrong."""
    field = f"digest({name!r})"
    if unless is not None and not callable(unless):
        raise InvalidInput(field=f"{field}.unless", problem=f"{unless!r} is no function", remedy="Name one")
    asked = {part: value for part, value in modes.items() if value is not None}
    timed = {part: value for part, value in calendar.items() if value is not None}
    if not timed and not asked.keys() & {"every", "cron"}:
        only(field, "a length", [] if timezone is None else ["timezone"])
        mode, rule = _of_a_length(field, length, **asked)
        return Digest(name, by, mode, rule | _capacity(field, capacity), unless=unless)
    only(
        field,
        "a calendar",
        [*length, *(asked.keys() - {"every", "cron"}), *(["capacity"] if capacity is not None else [])],
    )
    found, zone = slots(field, timed, timezone, **asked)
    return Digest(name, by, DigestMode.CALENDAR, {"slots": str(found)}, found, zone, unless)


def only(field: str, what: str, others: Collection[str]) -> None:
    """An InvalidInput where something is asked for beside others that say the same otherwise."""
    if others:
        raise InvalidInput(
            field=field, problem=f"{what} does not go with {', '.join(sorted(others))}", remedy="Use one of them"
        )


def slots(
    field: str, parts: Mapping[str, Any], timezone: str | None, every: str | None = None, cron: str | None = None
) -> tuple[Slots, str | None]:
    """A rule of the calendar, and where it is read: None is the person's zone.

    A cron expression is read in UTC unless a zone is given, everything else in the person's own.
    """
    given = {part: value for part, value in parts.items() if value is not None}
    place = None if timezone is None or timezone == "subscriber" else timing.known_zone(timezone, f"{field}.timezone")
    if cron is None:
        return timing.timed(field, every=every or "day", **given), place
    only(field, "cron", [*given, *(["every"] if every else [])])
    return timing.cron(cron, field), "UTC" if timezone is None else place


def aware(instant: Any, field: str) -> datetime:
    """The instant, or an InvalidInput where it has no zone."""
    if not isinstance(instant, datetime):
        raise InvalidInput(
            field=field, problem=f"{instant!r} is no datetime", remedy="Give it an aware one; `n.delay` reads texts"
        )
    if instant.utcoffset() is None:
        raise InvalidInput(
            field=field, problem=f"{instant} is naive", remedy="Give it a zone, such as datetime(…, tzinfo=UTC)"
        )
    return instant


def _of_a_length(
    field: str, length: Mapping[str, float], debounce: Any = None, max_wait: Any = None, lookback: Any = None
) -> tuple[DigestMode, dict[str, Any]]:
    if debounce is None and max_wait is None:
        rule = {"seconds": _seconds(length, field)}
        if lookback is None:
            return DigestMode.FIXED, rule
        return DigestMode.LOOKBACK, rule | {"back": _seconds(lookback, f"{field}.lookback")}
    if debounce is None or max_wait is None:
        raise InvalidInput(
            field=field,
            problem="a debounce has a quiet time and a maximum",
            remedy='Write debounce="15m", max_wait="2h": without a maximum a busy day would never be told',
        )
    only(field, "debounce", [*length, *(["lookback"] if lookback is not None else [])])
    quiet, most = _seconds(debounce, f"{field}.debounce"), _seconds(max_wait, f"{field}.max_wait")
    if most < quiet:
        raise InvalidInput(field=f"{field}.max_wait", problem="shorter than debounce", remedy="Make it longer")
    return DigestMode.DEBOUNCE, {"seconds": quiet, "max": most}


def _seconds(value: Any, field: str) -> float:
    """Windows lie on the events' own times, wherever people are: a day of one has 24 hours."""
    made = timing.length(value, field)
    if made.months:
        raise InvalidInput(field=field, problem="a window of months", remedy='Use days, or every="month"')
    return made.exactly.total_seconds()


def _capacity(field: str, capacity: int | None) -> dict[str, Any]:
    if capacity is None:
        return {}
    return {"capacity": counted(capacity, f"{field}.capacity", "events")}


def counted(value: Any, field: str, what: str) -> int:
    """A whole number of at least 1, or an InvalidInput."""
    if type(value) is not int or value < 1:
        raise InvalidInput(
            field=field, problem=f"{value!r} is no number of {what}", remedy="Write a whole number of at least 1"
        )
    return value
