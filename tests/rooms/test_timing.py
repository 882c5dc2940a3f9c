"""Instants in people's own zones, when to try again, and how wide an alarm is."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify.timing import alarm_bucket, next_tick, retry_at, zone

EVERY_DAY = frozenset(range(7))
WORKDAYS = frozenset(range(5))
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


@pytest.mark.parametrize(
    ("name", "after", "tick"),
    [
        ("UTC", "2026-01-15 08:59:59", "2026-01-15 09:00"),
        ("UTC", "2026-01-15 09:00", "2026-01-16 09:00"),
        ("America/New_York", "2026-01-15 13:00", "2026-01-15 14:00"),
        ("Asia/Kolkata", "2026-01-15 03:00", "2026-01-15 03:30"),
        ("Asia/Kathmandu", "2026-01-15 03:00", "2026-01-15 03:15"),
        ("Australia/Eucla", "2026-01-15 00:00", "2026-01-15 00:15"),
        ("Pacific/Kiritimati", "2026-01-15 12:00", "2026-01-15 19:00"),
        ("Pacific/Niue", "2026-01-15 19:59", "2026-01-15 20:00"),
        ("Europe/Berlin", "2026-03-28 09:00", "2026-03-29 07:00"),
        ("Europe/Berlin", "2026-10-24 08:00", "2026-10-25 08:00"),
    ],
)
def test_nine_o_clock_is_nine_o_clock_where_the_person_is(name: str, after: str, tick: str) -> None:
    assert next_tick(utc(after), time(9), EVERY_DAY, name) == utc(tick)


@pytest.mark.parametrize(
    ("name", "after", "at", "tick"),
    [
        ("Europe/Berlin", "2026-03-28 12:00", time(2, 0), "2026-03-29 01:00"),
        ("Europe/Berlin", "2026-03-28 12:00", time(2, 30), "2026-03-29 01:00"),
        ("Australia/Lord_Howe", "2026-10-03 12:00", time(2, 15), "2026-10-03 15:30"),
        ("America/Santiago", "2026-09-05 12:00", time(0, 30), "2026-09-06 04:00"),
    ],
)
def test_a_time_the_clocks_skip_fires_when_the_gap_ends(name: str, after: str, at: time, tick: str) -> None:
    assert next_tick(utc(after), at, EVERY_DAY, name) == utc(tick)


@pytest.mark.parametrize(
    ("name", "after", "at", "tick"),
    [
        ("Europe/Berlin", "2026-10-24 12:00", time(2, 30), "2026-10-25 00:30"),
        ("Australia/Lord_Howe", "2026-04-04 12:00", time(1, 45), "2026-04-04 14:45"),
        ("America/New_York", "2026-10-31 12:00", time(1, 30), "2026-11-01 05:30"),
    ],
)
def test_a_time_that_comes_twice_fires_the_first_time_only(name: str, after: str, at: time, tick: str) -> None:
    first = next_tick(utc(after), at, EVERY_DAY, name)
    second = next_tick(first, at, EVERY_DAY, name)

    assert first == utc(tick)
    assert second - first > timedelta(hours=23)
    assert second.astimezone(ZoneInfo(name)).date() == first.astimezone(ZoneInfo(name)).date() + timedelta(days=1)


@pytest.mark.parametrize("name", [None, "", "Mars/Olympus", "../etc/passwd", "Europe", "a\0b", "/etc/localtime"])
def test_a_zone_that_means_nothing_is_utc(name: str | None) -> None:
    assert zone(name) == ZoneInfo("UTC")
    assert next_tick(NOW, time(9), EVERY_DAY, name) == utc("2026-01-16 09:00")


@pytest.mark.parametrize(
    ("name", "after", "weekdays", "tick"),
    [
        ("UTC", "2026-01-16 09:00", WORKDAYS, "2026-01-19 09:00"),
        ("UTC", "2026-01-17 00:00", {5}, "2026-01-17 09:00"),
        ("UTC", "2026-01-15 09:00", {3}, "2026-01-22 09:00"),
        # Friday evening in UTC is Saturday in Brisbane, and Thursday evening Friday.
        ("Australia/Brisbane", "2026-01-15 22:00", WORKDAYS, "2026-01-15 23:00"),
        ("Australia/Brisbane", "2026-01-16 22:00", WORKDAYS, "2026-01-18 23:00"),
    ],
)
def test_weekdays_are_the_person_s_own(name: str, after: str, weekdays: set[int], tick: str) -> None:
    assert next_tick(utc(after), time(9), frozenset(weekdays), name) == utc(tick)


def test_no_weekday_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="weekday"):
        next_tick(NOW, time(9), frozenset(), "UTC")


@given(
    after=st.datetimes(datetime(2010, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    at=st.times(),
    weekdays=st.sets(st.integers(0, 6), min_size=1),
    name=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]),
)
def test_a_tick_lies_ahead_on_a_wanted_day_and_within_eight_days(
    after: datetime, at: time, weekdays: set[int], name: str
) -> None:
    tick = next_tick(after, at, frozenset(weekdays), name)

    assert after < tick <= after + timedelta(days=8)
    assert tick.tzinfo is UTC
    local = tick.astimezone(ZoneInfo(name))
    assert local.weekday() in weekdays
    if local.astimezone(UTC) == local.replace(fold=0).astimezone(UTC):
        assert local.time() >= at


@pytest.mark.parametrize(
    ("ahead", "width"),
    [
        (timedelta(seconds=0.5), 1),
        (timedelta(hours=1), 1),
        (timedelta(hours=1, seconds=1), 60),
        (timedelta(days=1), 60),
        (timedelta(days=1, seconds=1), 3600),
        (timedelta(days=300, seconds=7), 3600),
    ],
)
def test_an_alarm_is_as_wide_as_it_is_far(ahead: timedelta, width: int) -> None:
    instant = NOW + timedelta(seconds=0.25) + ahead

    bucket = alarm_bucket(instant, NOW + timedelta(seconds=0.25))

    assert bucket.tzinfo is UTC
    assert bucket.timestamp() % width == 0
    assert instant <= bucket < instant + timedelta(seconds=width)


@pytest.mark.parametrize("ahead", [timedelta(seconds=1), timedelta(minutes=90), timedelta(days=2)])
def test_an_alarm_on_the_edge_stays_there(ahead: timedelta) -> None:
    assert alarm_bucket(NOW + ahead, NOW) == NOW + ahead


@given(st.floats(0, 10_000_000))
def test_an_alarm_never_rings_early(seconds: float) -> None:
    instant = NOW + timedelta(seconds=seconds)

    assert alarm_bucket(instant, NOW) >= instant


@pytest.mark.parametrize(
    ("tries", "seconds"), [(1, 1), (2, 2), (3, 4), (4, 8), (12, 2048), (13, 3600), (14, 3600), (10_000, 3600)]
)
def test_the_wait_between_tries_doubles_up_to_an_hour(tries: int, seconds: int) -> None:
    assert retry_at(tries, NOW) == NOW + timedelta(seconds=seconds)
