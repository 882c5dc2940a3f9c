"""The hours in which messages may reach a person: read, stored again, refused, and when they next begin."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notify.errors import InvalidInput
from notify.timing import Hours, dump, hours, next_open
from tests.rooms.clock_walks import WALKS, Walk

DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
Week = dict[str, list[tuple[int, int]]]


def stored(week: Mapping[str, Any] | None = None, *, enabled: bool = True, **days: Any) -> dict[str, Any]:
    return {"isEnabled": enabled, "weeklySchedule": {**(week or {}), **days}}


def day(*stretches: tuple[str, str], enabled: bool = True) -> dict[str, Any]:
    return {"isEnabled": enabled, "hours": [{"start": start, "end": end} for start, end in stretches]}


CLOSED = day(enabled=False)
OFF = day(("09:00 AM", "05:00 PM"), enabled=False)
WEEKS: st.SearchStrategy[Week] = st.dictionaries(
    st.sampled_from(DAYS),
    st.lists(st.tuples(st.integers(0, 47), st.integers(1, 48)), min_size=1, max_size=3),
    min_size=1,
)


def read(week: Week) -> Hours:
    """Hours from half hours since midnight."""
    days = {name: [f"{clock(start)}-{clock(start + lasting)}" for start, lasting in week[name]] for name in week}
    return hours(days, "schedule")


def clock(half_hours: int) -> str:
    return "{:02}:{:02}".format(*divmod(half_hours % 48 * 30, 60))


def test_both_forms_say_the_same() -> None:
    office = day(("09:00 AM", "05:00 PM"))
    long = stored(monday=office, tuesday=office, saturday=day(("02:00 PM", "04:00 PM"), ("10:00 AM", "12:00 PM")))

    assert hours(long, "schedule") == hours({"mon-tue": "09:00-17:00", "sat": ["10:00-12:00", "14:00-16:00"]}, "s")
    assert hours(long, "schedule") == hours({"mon,tue": "9:00 AM - 5:00 PM", "sat": "14:00-16:00,10:00-12:00"}, "s")


@pytest.mark.parametrize("end", ["12:00 AM", "00:00", "24:00"])
def test_midnight_is_an_end(end: str) -> None:
    evening = hours({"thu": f"18:00-{end}"}, "schedule")

    assert next_open(NOW.replace(hour=23, minute=59), evening, None) == NOW.replace(hour=23, minute=59)
    assert next_open(NOW.replace(day=16, hour=0), evening, None) == NOW.replace(day=22, hour=18)


def test_an_end_that_is_the_start_is_a_day_later() -> None:
    always = hours({"day": "09:00-09:00"}, "schedule")

    assert next_open(NOW.replace(hour=9), always, None) == NOW.replace(hour=9)
    assert next_open(NOW.replace(hour=8, minute=59), always, None) == NOW.replace(hour=8, minute=59)


@pytest.mark.parametrize(
    "value",
    [
        stored(dict.fromkeys(DAYS, CLOSED) | {"friday": day(("12:00 AM", "12:00 PM"), ("12:30 PM", "12:00 AM"))}),
        stored(dict.fromkeys(DAYS, CLOSED) | {"sunday": day(("10:00 PM", "06:30 AM"))}),
        stored(dict.fromkeys(DAYS, OFF) | {"monday": day(("01:00 AM", "02:00 AM"))}),
        stored(dict.fromkeys(DAYS, day(("09:00 AM", "05:00 PM"))), enabled=False),
    ],
)
def test_stored_hours_come_back_as_they_were_also_those_switched_off(value: dict[str, Any]) -> None:
    assert dump(hours(value, "schedule")) == value


def test_short_hours_are_stored_in_full() -> None:
    kept = dump(hours({"sat": "22:00-24:00"}, "schedule"))

    assert kept == stored(dict.fromkeys(DAYS, CLOSED) | {"saturday": day(("10:00 PM", "12:00 AM"))})


@pytest.mark.parametrize("value", [None, stored(enabled=False), stored(enabled=False, monday=day(("09:00", "10:00")))])
def test_hours_that_are_off_are_always(value: Any) -> None:
    off = hours(value, "schedule")

    assert next_open(NOW, off, "Europe/Rome") == NOW
    assert hours(dump(off), "schedule") == off


def test_hours_are_on_unless_switched_off() -> None:
    given = {"weeklySchedule": {"friday": {"hours": [{"start": "09:00", "end": "10:00"}]}}}

    assert hours(given, "schedule") == hours({"fri": "09:00-10:00"}, "schedule")


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({}, "schedule"),
        ({"mon": []}, "schedule"),
        (stored(), "schedule"),
        (stored(monday=day()), "schedule"),
        (stored(monday=OFF), "schedule"),
        ("09:00-17:00", "schedule"),
        ([], "schedule"),
        ({"moon": "09:00-17:00"}, "schedule"),
        ({"mon-wed": "09:00-17:00", "tue": "10:00-12:00"}, "schedule"),
        ({"mon": "09:00"}, "schedule.mon"),
        ({"mon": "24:00-09:00"}, "schedule.mon"),
        ({"mon": "09:00-24:30"}, "schedule.mon"),
        ({"mon": "09:00-13:00 PM"}, "schedule.mon"),
        ({"mon": 9}, "schedule.mon"),
        ({"isEnabled": "yes"}, "schedule.isEnabled"),
        ({"isEnabled": True, "weeklySchedule": ["monday"]}, "schedule.weeklySchedule"),
        (stored(moonday=day(("09:00", "10:00"))), "schedule.weeklySchedule"),
        (stored(mon=day(("09:00", "10:00")), monday=day(("09:00", "10:00"))), "schedule.weeklySchedule"),
        (stored(monday="09:00-17:00"), "schedule.weeklySchedule.monday"),
        (stored(monday={"isEnabled": 1, "hours": []}), "schedule.weeklySchedule.monday.isEnabled"),
        (stored(monday={"isEnabled": True, "hours": ["09:00-17:00"]}), "schedule.weeklySchedule.monday.hours"),
        (stored(monday={"isEnabled": True, "hours": 9}), "schedule.weeklySchedule.monday.hours"),
        (stored(monday={"hours": [{"start": "09:00 AM"}]}), "schedule.weeklySchedule.monday.hours"),
    ],
    ids=str,
)
def test_what_are_no_hours_is_refused_by_its_part(value: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        hours(value, "schedule")

    assert refused.value.field == field
    assert refused.value.remedy


@settings(max_examples=40, deadline=None)
@given(walk=st.sampled_from(WALKS), week=WEEKS)
def test_hours_are_open_when_a_walk_by_the_minute_finds_them_so(walk: Walk, week: Week) -> None:
    first = walk.start.replace(hour=0, minute=0, tzinfo=None)
    dates = [first + timedelta(days=ahead) for ahead in range(-2, 4)]
    open_ = walk.opened(
        [
            (date + timedelta(minutes=30 * start), date + timedelta(minutes=30 * (start + lasting)))
            for date in dates
            for start, lasting in week.get(DAYS[date.weekday()], [])
        ]
    )
    value, minutes = read(week), [walk.start + timedelta(minutes=ahead) for ahead in range(1, 2880, 15)]

    for instant in minutes:
        found, place = next_open(instant, value, walk.zone), bisect_left(open_, instant)
        assert found == open_[place] if place < len(open_) else found > walk.end


@given(
    instant=st.datetimes(datetime(2010, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)),
    week=WEEKS,
    walk=st.sampled_from(WALKS),
)
def test_what_is_open_next_is_open_then(instant: datetime, week: Week, walk: Walk) -> None:
    value = read(week)
    found = next_open(instant, value, walk.zone)

    assert instant <= found <= instant + timedelta(days=15)
    assert found.tzinfo is UTC
    assert next_open(found, value, walk.zone) == found
    assert next_open(instant + (found - instant) / 2, value, walk.zone) == found


@given(week=WEEKS)
def test_hours_survive_being_stored(week: Week) -> None:
    assert hours(dump(read(week)), "schedule") == read(week)
