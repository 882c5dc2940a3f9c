"""Rules of the calendar: which instants they name, how they read, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notify.errors import InvalidInput
from notify.timing import Slots, cron, existing, next_slot, quarters, timed, utc_cron, zone
from tests.rooms.clock_walks import WALKS, Matches, Walk

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
#: Rules and what they mean; True for those that follow the minute hand.
CRONS: list[tuple[str, bool, Matches]] = [
    ("* * * * *", True, lambda wall: True),
    ("*/15 * * * *", True, lambda wall: wall.minute % 15 == 0),
    ("30 0-23 * * *", True, lambda wall: wall.minute == 30),
    ("0,45 * * * 6", True, lambda wall: wall.minute in (0, 45) and wall.weekday() == 5),
    ("0 */2 * * *", False, lambda wall: wall.minute == 0 and wall.hour % 2 == 0),
    ("*/20 0-3 * * *", False, lambda wall: wall.minute % 20 == 0 and wall.hour < 4),
    ("30 1,2,23 * * 6-7", False, lambda wall: wall.minute == 30 and wall.hour in (1, 2, 23) and wall.weekday() > 4),
]


def all_slots(slots: Slots, walk: Walk) -> list[datetime]:
    found: list[datetime] = []
    while (tick := next_slot(found[-1] if found else walk.start, slots, walk.zone)) <= walk.end:
        assert not found or tick > found[-1]
        found.append(tick)
    return found


@pytest.mark.parametrize("walk", WALKS, ids=str)
@pytest.mark.parametrize("rule", CRONS, ids=lambda rule: rule[0])
def test_cron_names_what_a_walk_by_the_minute_finds(walk: Walk, rule: tuple[str, bool, Matches]) -> None:
    expression, by_hand, matches = rule
    found = walk.shown(matches) if by_hand else walk.named(matches)

    assert all_slots(cron(expression, "rule"), walk) == found


@settings(max_examples=40, deadline=None)
@given(
    walk=st.sampled_from(WALKS),
    times=st.sets(
        st.times().map(lambda at: at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)), min_size=1
    ),
    weekdays=st.sets(st.integers(0, 6), min_size=1),
)
def test_times_of_the_day_are_what_a_walk_by_the_minute_finds(walk: Walk, times: set[time], weekdays: set[int]) -> None:
    rule = timed("rule", at=times, weekdays=weekdays)

    assert all_slots(rule, walk) == walk.named(lambda wall: wall.time() in times and wall.weekday() in weekdays)


@settings(max_examples=30, deadline=None)
@given(walk=st.sampled_from(WALKS), minutes=st.sets(st.integers(0, 59), min_size=1, max_size=4))
def test_minutes_of_the_hour_are_what_a_walk_by_the_minute_finds(walk: Walk, minutes: set[int]) -> None:
    rule = timed("rule", every="hour", minutes=minutes)

    assert all_slots(rule, walk) == walk.shown(lambda wall: wall.minute in minutes)


@given(
    after=st.datetimes(datetime(2010, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)),
    walk=st.sampled_from(WALKS),
    rule=st.sampled_from(
        [
            timed("rule", every="minute"),
            timed("rule", every="hour", interval=6, minutes=7, weekdays="sat"),
            timed("rule", every="month", at="02:30", month_days=[1, "last"]),
            timed("rule", every="month", at="00:10", ordinal="fifth", weekdays="sun"),
            cron("10 2 29 2 *", "rule"),
        ]
    ),
)
def test_the_next_is_later_and_from_anywhere_before_it_the_same(after: datetime, walk: Walk, rule: Slots) -> None:
    tick = next_slot(after, rule, walk.zone)

    assert tick > after
    assert tick.tzinfo is UTC
    assert next_slot(after + (tick - after) / 2, rule, walk.zone) == tick
    assert next_slot(tick - timedelta(microseconds=1), rule, walk.zone) == tick


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"at": ["17:30", time(9), "9:00 AM"]}, "every day at 09:00 and 17:30"),
        ({"at": "12:00 AM,12:15 PM", "weekdays": "weekend"}, "every Saturday and Sunday at 00:00 and 12:15"),
        ({"at": "09:00", "weekdays": "fri-mon"}, "every day from Friday to Monday at 09:00"),
        ({"at": "09:00", "weekdays": ["sun-wed", 3, "Friday", 5]}, "every day at 09:00"),
        ({"at": "09:00", "every": "week"}, "every Monday at 09:00"),
        (
            {"at": "09:00", "every": "week", "weekdays": "tue,thurs,sat"},
            "every Tuesday, Thursday and Saturday at 09:00",
        ),
        ({"at": "09:00", "every": "month"}, "on the 1st of each month at 09:00"),
        (
            {"at": "09:00", "every": "month", "month_days": [-1, 22, 3, 12, "2"]},
            "on the 2nd, the 3rd, the 12th, the 22nd and the last day of each month at 09:00",
        ),
        (
            {"at": "09:00", "every": "month", "ordinal": ["last", 2], "weekdays": "mon,weekend"},
            "on the second and last Monday and weekend of each month at 09:00",
        ),
        ({"every": "minute", "interval": 5, "weekdays": "mon-fri"}, "every 5 minutes from Monday to Friday"),
        ({"every": "hour", "minutes": "15,0", "weekdays": 2}, "every hour at :00 and :15 on Wednesday"),
        ({"every": "hour", "interval": 12}, "every 12 hours at :00"),
    ],
)
def test_a_rule_says_itself(parts: dict[str, Any], words: str) -> None:
    assert str(timed("rule", **parts)) == words


def test_the_instant_of_a_time_shown_twice_is_the_first_whichever_is_asked_for() -> None:
    second = datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=zone("Europe/Rome"))

    assert existing(second) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_equal_rules_are_one_key() -> None:
    rules = {timed("a", at="09:00", weekdays="mon,tue"): 1, timed("b", at=time(9), weekdays=["tue", "mon"]): 2}
    crons = {cron("0 9 * * 1", "a"), cron(" 0  9 * * 1 ", "b")}

    assert list(rules.values()) == [2]
    assert list(map(str, crons)) == ["cron 0 9 * * 1"]


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        ({}, "at"),
        ({"at": []}, "at"),
        ({"at": "24:00"}, "at"),
        ({"at": "9"}, "at"),
        ({"at": "13:00 PM"}, "at"),
        ({"at": "0:30 AM"}, "at"),
        ({"at": time(9, 0, 30)}, "at"),
        ({"at": time(9, tzinfo=UTC)}, "at"),
        ({"at": 9}, "at"),
        ({"every": "fortnight", "at": "09:00"}, "every"),
        ({"every": "minute", "at": "09:00"}, "at"),
        ({"every": "minute", "interval": 7}, "interval"),
        ({"every": "minute", "interval": 60}, "interval"),
        ({"every": "minute", "interval": 0}, "interval"),
        ({"every": "hour", "interval": 5}, "interval"),
        ({"every": "hour", "interval": 2.0}, "interval"),
        ({"every": "day", "at": "09:00", "interval": 2}, "interval"),
        ({"every": "hour", "minutes": 60}, "minutes"),
        ({"every": "hour", "minutes": []}, "minutes"),
        ({"every": "day", "at": "09:00", "minutes": 5}, "minutes"),
        ({"at": "09:00", "weekdays": "mo"}, "weekdays"),
        ({"at": "09:00", "weekdays": "mon-"}, "weekdays"),
        ({"at": "09:00", "weekdays": []}, "weekdays"),
        ({"at": "09:00", "weekdays": 7}, "weekdays"),
        ({"at": "09:00", "weekdays": True}, "weekdays"),
        ({"every": "day", "at": "09:00", "month_days": 1}, "month_days"),
        ({"every": "month", "at": "09:00", "month_days": 32}, "month_days"),
        ({"every": "month", "at": "09:00", "month_days": 0}, "month_days"),
        ({"every": "month", "at": "09:00", "month_days": 1, "ordinal": 1, "weekdays": "mon"}, "ordinal"),
        ({"every": "month", "at": "09:00", "ordinal": 1}, "ordinal"),
        ({"every": "month", "at": "09:00", "weekdays": "mon"}, "ordinal"),
        ({"every": "month", "at": "09:00", "ordinal": 6, "weekdays": "mon"}, "ordinal"),
        ({"every": "month", "at": "09:00", "ordinal": 1, "weekdays": "mon-fri"}, "weekdays"),
        ({"every": "month", "at": "09:00", "ordinal": 1, "weekdays": []}, "weekdays"),
    ],
    ids=str,
)
def test_what_makes_no_rule_is_refused_by_its_part(parts: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        timed("when", **parts)

    assert refused.value.field == f"when.{field}"
    assert refused.value.remedy


@pytest.mark.parametrize(
    "expression",
    ["", "0 9 * *", "0 0 9 * * *", "@daily", "60 9 * * *", "0 24 * * *", "0 9 0 * *", "0 9 * 13 *", "0 9 * * 8",
     "0 9 30 2 *", "0 9 31 4,6 *", "0 9 30 2 */2", "0 9 */30 2 1#5", "*/0 * * * *", "0 9 * * mon-", 5],
)  # fmt: skip
def test_a_cron_expression_that_is_none_or_never_comes_is_refused(expression: Any) -> None:
    with pytest.raises(InvalidInput, match="when: "):
        cron(expression, "when")


@pytest.mark.parametrize(
    ("rule", "minutes", "expression"),
    [
        (timed("rule", at="09:00"), {0, 15, 30, 45}, "*/15 * * * *"),
        (timed("rule", at="09:10"), {10, 25, 40, 55}, "10,25,40,55 * * * *"),
        (timed("rule", at=["09:00", "17:45"]), {0, 15, 30, 45}, "*/15 * * * *"),
        (timed("rule", every="hour", minutes=[0, 5, 10]), set(range(0, 60, 5)), "*/5 * * * *"),
        (timed("rule", every="hour", minutes=[1, 2]), {1, 2, 16, 17, 31, 32, 46, 47}, "1,2,16,17,31,32,46,47 * * * *"),
        (timed("rule", every="minute"), None, "* * * * *"),
        (cron("0-14 9 * * *", "rule"), None, "* * * * *"),
    ],
    ids=str,
)
def test_a_deployment_looks_at_the_quarters_a_rule_can_fall_on(
    rule: Slots, minutes: set[int] | None, expression: str
) -> None:
    assert quarters(rule) == minutes
    assert utc_cron(rule) == expression


def test_in_every_zone_there_is_a_rule_comes_when_its_deployment_looks() -> None:
    rule = timed("rule", at="09:10")
    instants = [NOW, NOW + timedelta(days=182)]
    minutes = {next_slot(after, rule, zone).minute for zone in available_timezones() for after in instants}

    assert {10, 25, 40} <= minutes <= (quarters(rule) or set())
