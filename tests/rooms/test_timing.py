"""Instants in people's own zones, when to try again, and how wide an alarm is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify.timing import alarm_bucket, retry_at, zone

EVERY_DAY = frozenset(range(7))
WORKDAYS = frozenset(range(5))
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


@pytest.mark.parametrize("name", [None, "", "Mars/Olympus", "../etc/passwd", "Europe", "a\0b", "/etc/localtime"])
def test_a_zone_that_means_nothing_is_utc(name: str | None) -> None:
    assert zone(name) == ZoneInfo("UTC")


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
