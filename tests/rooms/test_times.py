"""The table in times.md, row by row: where somebody lives, a rule in words, and when it happens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from notify.timing import Slots, cron, hours, later, length, next_open, next_slot, timed

TABLE = Path(__file__).with_name("times.md")
WRITTEN = "%a %d %b %Y %H:%M %z"
_ORDINALS = "first|second|third|fourth|fifth|last"
#: What rules of the calendar look like; `and` and commas divide several values.
CALENDAR = {
    r"every (?:(?P<interval>\d+) )?(?P<every>minute)s?": {},
    r"every (?:(?P<interval>\d+) )?(?P<every>hour)s? at (?P<minutes>.+)": {},
    r"every day at (?P<at>.+)": {"every": "day"},
    r"every day from (?P<weekdays>\w+ to \w+) at (?P<at>.+)": {"every": "day"},
    r"every (?P<weekdays>.+) at (?P<at>.+)": {"every": "week"},
    rf"on the (?P<ordinal>(?:(?:{_ORDINALS})(?: and |, )?)+) (?P<weekdays>\w+) of each month at (?P<at>.+)": {
        "every": "month"
    },
    r"on the (?P<month_days>.+) of each month at (?P<at>.+)": {"every": "month"},
}


@dataclass(frozen=True)
class Row:
    zone: str
    rule: str
    start: str
    expected: str
    why: str

    def __str__(self) -> str:
        return f"{self.zone}: {self.rule}, from {self.start}"


def rows() -> Iterator[Row]:
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if "/" in cells[0] and line.startswith("|"):
            yield Row(*cells)


ROWS = list(rows())


def happens(rule: str, start: datetime, zone: str) -> datetime:
    """What the rule comes to, by whichever function such a rule is for."""
    kind, _, rest = rule.partition(" ")
    if kind == "after":
        return later(start, length(rest, "rule"), zone)
    if kind == "open":
        return next_open(start, hours(_opening(rest), "rule"), zone)
    return next_slot(start, slots(rule), zone)


def slots(rule: str) -> Slots:
    """The rule as the library writes it, so that the table is also what people are shown."""
    made = cron(rule.removeprefix("cron "), "rule") if rule.startswith("cron ") else timed("rule", **_parts(rule))
    assert str(made) == rule
    return made


def _parts(rule: str) -> dict[str, Any]:
    for form, rest in CALENDAR.items():
        if found := re.fullmatch(form, rule):
            given = {name: value for name, value in found.groupdict().items() if value is not None}
            return rest | {name: _values(name, value) for name, value in given.items()}
    raise ValueError(f"no rule of the calendar looks like {rule!r}")


def _values(name: str, words: str) -> Any:
    values = re.split(", | and ", words)
    match name:
        case "every":
            return words
        case "interval":
            return int(words)
        case "minutes":
            return [int(value.removeprefix(":")) for value in values]
        case "month_days":
            return [re.sub("^the |(st|nd|rd|th)$| day$", "", value) for value in values]
        case _:
            return [value.replace(" to ", "-") for value in values]


def _opening(words: str) -> dict[str, list[str]]:
    """`mon-fri 09:00-12:00 13:00-17:00, sat 10:00-12:00` by day."""
    return {days: stretches for days, *stretches in (part.split() for part in words.split(", "))}


def read(text: str) -> datetime:
    return datetime.strptime(text, WRITTEN)


def written(instant: datetime, zone: str) -> str:
    local = instant.astimezone(ZoneInfo(zone))
    return f"{local:%a %-d %b %Y %H:%M} {local.isoformat()[-6:]}"


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_it_happens_when_the_table_says(row: Row) -> None:
    instant = happens(row.rule, read(row.start), row.zone)

    assert written(instant, row.zone) == row.expected, row.why
    assert instant == read(row.expected)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_table_shows_what_the_clocks_showed(row: Row) -> None:
    assert written(read(row.start).astimezone(UTC), row.zone) == row.start
    assert written(read(row.expected).astimezone(UTC), row.zone) == row.expected


def test_the_table_says_everything_once_and_why() -> None:
    assert len({(row.zone, row.rule, row.start) for row in ROWS}) == len(ROWS) >= 100
    assert [str(row) for row in ROWS if not row.why] == []
