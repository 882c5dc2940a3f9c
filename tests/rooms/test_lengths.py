"""How long something lasts: read from what people write, and added by the calendar of a place."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from notify.errors import InvalidInput
from notify.timing import Length, later, length

ROME = ZoneInfo("Europe/Rome")
ZONES = st.sampled_from(["Europe/Rome", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "UTC"])
INSTANTS = st.datetimes(datetime(2012, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))


@pytest.mark.parametrize(
    ("value", "lasts"),
    [
        ("3d", Length(days=3)),
        ("2w", Length(days=14)),
        ("1mo", Length(months=1)),
        ("1 month", Length(months=1)),
        ("1mo 2d", Length(months=1, days=2)),
        ("1h30m", Length(exact=timedelta(minutes=90))),
        ("1 hour 30 minutes", Length(exact=timedelta(minutes=90))),
        (" 45S ", Length(exact=timedelta(seconds=45))),
        ("1.5d", Length(days=1, exact=timedelta(hours=12))),
        ("1.5w", Length(days=10, exact=timedelta(hours=12))),
        ({"days": 1}, Length(days=1)),
        ({"weeks": 1, "days": 2, "hours": 3}, Length(days=9, exact=timedelta(hours=3))),
        ({"minutes": 0.5}, Length(exact=timedelta(seconds=30))),
        ({"months": 2.0}, Length(months=2)),
        ({"amount": 3, "unit": "days"}, Length(days=3)),
        ({"amount": 1, "unit": "week"}, Length(days=7)),
        ({"unit": "months", "amount": 1}, Length(months=1)),
        (timedelta(days=1), Length(exact=timedelta(hours=24))),
        (timedelta(microseconds=1), Length(exact=timedelta(microseconds=1))),
        ({"months": 1200}, Length(months=1200)),
    ],
    ids=str,
)
def test_a_length_is_read(value: Any, lasts: Length) -> None:
    assert length(value, "wait") == lasts


@pytest.mark.parametrize(
    "value",
    [None, 3, True, "", "d", "3", "-1d", "1x", "1d,2h", "1d 1 day", "1e3s", [], {}, {"days": 0}, {"days": -1},
     {"days": -1, "hours": 48}, {"hours": 1, "minutes": -1}, timedelta(), timedelta(seconds=-1), {"seconds": 1e-9},
     {"months": 1.5}, "0.5mo", {"days": True}, {"days": "3"}, {"hours": None}, {"days": float("nan")},
     {"days": float("inf")}, {"months": float("inf")}, {"hours": float("nan")}, {"fortnights": 1}, {1: 1},
     {"amount": 3}, {"amount": 3, "unit": None}, {"amount": "3", "unit": "days"}, {"amount": 3, "unit": "fortnights"},
     {"months": 1201}, {"days": 10**12}, {"hours": 10**6}, {"hours": 1e300}],
    ids=str,
)  # fmt: skip
def test_what_is_no_length_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput, match="wait: ") as refused:
        length(value, "wait")

    assert refused.value.field == "wait"
    assert refused.value.remedy


def test_days_of_24_hours_leave_months_out() -> None:
    assert Length(months=1, days=2, exact=timedelta(hours=1)).exactly == timedelta(hours=49)


def test_what_is_exact_is_so_from_wherever_the_instant_is_told() -> None:
    eve = datetime(2026, 3, 28, 12, tzinfo=ROME)

    assert later(eve, Length(exact=timedelta(hours=24)), "Asia/Kolkata") == datetime(2026, 3, 29, 11, tzinfo=UTC)
    assert later(eve, Length(exact=timedelta(hours=24)), None).tzinfo is UTC


def test_the_calendar_is_the_zone_s_not_the_instant_s() -> None:
    # In Rome it is still 30 January; in Kolkata it is the 31st.
    instant = datetime(2026, 1, 30, 20, tzinfo=UTC)

    assert later(instant, Length(months=1), "Europe/Rome") == datetime(2026, 2, 28, 20, tzinfo=UTC)
    assert later(instant, Length(months=1), "Asia/Kolkata") == datetime(2026, 2, 27, 20, tzinfo=UTC)


def test_from_the_second_of_two_equal_times_a_day_goes_to_the_same_time() -> None:
    second = datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ROME)

    assert later(second, Length(days=1), "Europe/Rome") == datetime(2026, 10, 26, 2, 30, tzinfo=ROME)


@given(instant=INSTANTS, months=st.integers(0, 60), days=st.integers(0, 60), zone=ZONES)
def test_months_and_days_keep_the_time_on_the_wall(instant: datetime, months: int, days: int, zone: str) -> None:
    assume(months or days)
    was, found = instant.astimezone(ZoneInfo(zone)), later(instant, Length(months, days), zone)
    years, month = divmod(was.month - 1 + months, 12)
    last = monthrange(was.year + years, month + 1)[1]
    clamped = was.replace(tzinfo=None, year=was.year + years, month=month + 1, day=min(was.day, last))
    wall = clamped + timedelta(days=days)
    reached = found.astimezone(ZoneInfo(zone))

    assert instant < found
    assert found.tzinfo is UTC
    if wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) == wall:
        assert (reached.replace(tzinfo=None, fold=0), reached.fold) == (wall.replace(fold=0), 0)
    else:
        before = (found - timedelta(seconds=1)).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        assert before < wall < reached.replace(tzinfo=None)


@given(instant=INSTANTS, days=st.integers(0, 400), seconds=st.integers(1, 10**7), zone=ZONES)
def test_the_exact_part_comes_on_top(instant: datetime, days: int, seconds: int, zone: str) -> None:
    exact = timedelta(seconds=seconds)

    assert later(instant, Length(days=days, exact=exact), zone) == later(instant, Length(days=days), zone) + exact
