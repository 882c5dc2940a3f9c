"""The hours in which a person may be reached, as they are typed and as they are shown: `mon-fri 09:00-17:00`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from notify.errors import InvalidInput
from notify.model import JsonObject
from notify.timing import hours
from notify.timing.wording import MIDNIGHT, WEEK, clock


def typed(parts: Sequence[str], field: str) -> Mapping[str, str]:
    """Days and stretches from texts such as `sat 10:00-12:00,14:00-16:00`."""
    found: dict[str, str] = {}
    for part in parts:
        days, space, stretches = part.strip().rpartition(" ")
        if not space or days in found:
            problem = f"{days!r} stands there twice" if days else f"{part!r} is not days and hours"
            raise InvalidInput(field=field, problem=problem, remedy='Write "mon-fri 09:00-17:00" "sat 10:00-12:00"')
        found[days] = stretches
    return found


def shown(schedule: JsonObject | None) -> str:
    """The hours as they could be typed, equal days in a row together; `at any time` where none are in force."""
    kept = hours(schedule, "schedule")
    return " · ".join(_runs([_stretches(kept.on(day)) for day in range(7)])) if kept.enabled else "at any time"


def _stretches(stretches: Sequence[tuple[int, int]]) -> str:
    return ",".join(f"{clock(start)}-{clock(end if end <= MIDNIGHT else end - MIDNIGHT)}" for start, end in stretches)


def _runs(week: Sequence[str]) -> Iterator[str]:
    for times, days in groupby(range(7), key=week.__getitem__):
        names = [WEEK[day][:3].lower() for day in days]
        if times:
            yield f"{'-'.join(dict.fromkeys((names[0], names[-1])))} {times}"
