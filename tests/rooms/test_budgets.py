"""How many messages a person may get: what a budget says, and when there is room again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify.budgets import Budget, longest, parse, room
from notify.engine.limits import Limits
from notify.errors import InvalidSetting
from notify.model import Channel
from notify.settings import Settings

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
EMAIL, PUSH, SMS = Channel.EMAIL, Channel.PUSH, Channel.SMS
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def minutes(*numbers: float) -> list[tuple[datetime, Channel]]:
    """E-mails so many minutes from noon."""
    return [(NOON + timedelta(minutes=number), EMAIL) for number in numbers]


def in_minutes(instant: datetime) -> float:
    return (instant - NOON) / timedelta(minutes=1)


# --- what a budget says -------------------------------------------------------------------------


def test_budgets_are_written_as_a_channel_a_number_and_a_window() -> None:
    found = parse("email: 10/day,email:2/hour ,  ALL : 20 / week, push: 1/minute", "NOTIFY_BUDGET")

    assert found == (
        Budget(EMAIL, 10, DAY),
        Budget(EMAIL, 2, HOUR),
        Budget(None, 20, timedelta(weeks=1)),
        Budget(PUSH, 1, timedelta(minutes=1)),
    )
    assert longest(found) == timedelta(weeks=1)
    assert parse("", "NOTIFY_BUDGET") == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("email 10/day", "is no budget"),
        ("email: ten/day", "is no budget"),
        ("email: 0/day", "is no budget"),
        ("email: 10", "is no budget"),
        ("email: 10/fortnight", "no such window as 'fortnight'"),
        ("in_app: 10/day", "no budget is for 'in_app'"),
        ("webhook: 10/day", "no budget is for 'webhook'"),
        ("pigeon: 10/day", "no budget is for 'pigeon': email, sms, push, chat or all"),
    ],
)
def test_a_budget_that_means_nothing_is_refused_by_the_name_of_its_variable(text: str, problem: str) -> None:
    with pytest.raises(InvalidSetting, match=f"^NOTIFY_BUDGET='{text}': .*{problem}"):
        parse(f"push: 3/hour, {text}", "NOTIFY_BUDGET")


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("NOTIFY_SCHEDULE", "mon-fri", "is no time of the day"),
        ("NOTIFY_SCHEDULE", "someday 09:00-17:00", "is no day of the week"),
        ("NOTIFY_SCHEDULE", "{", "no JSON"),
        ("NOTIFY_SCHEDULE", '{"isEnabled": true}', "no hours at all"),
        ("NOTIFY_BUDGET", "email: many", "is no budget"),
        ("NOTIFY_BUDGET_EXEMPT", "low", "no such choice. Use high or critical"),
        ("NOTIFY_BUDGET_OVERFLOW", "drop", "no such choice. Use defer or digest"),
    ],
)
def test_limits_that_mean_nothing_are_refused_before_anything_is_worked_on(
    variable: str, value: str, problem: str
) -> None:
    with pytest.raises(InvalidSetting, match=f"^{variable}=.*{problem}"):
        Limits.of(Settings.from_env({variable: value}))


def test_the_usual_hours_may_be_several_and_none_are_set_unless_somebody_does() -> None:
    split = Limits.of(
        Settings.from_env({"NOTIFY_SCHEDULE": "mon 09:00-12:00,14:00-18:00; mon 20:00-21:00; sat 10:00-11:00"})
    )
    assert split.usual.on(0) == ((540, 720), (840, 1080), (1200, 1260))
    assert split.usual.on(5) == ((600, 660),)
    assert not Limits.of(Settings.from_env({})).usual.enabled


def test_an_inbox_and_a_machine_are_told_at_any_hour_and_without_end() -> None:
    limits = Limits.of(Settings.from_env({"NOTIFY_BUDGET": "all: 1/day"}))
    waits = {channel.value for channel in Channel if limits.keeps_hours(None, channel, 0)}

    assert waits == {"email", "sms", "push", "chat"}
    assert waits == {channel.value for channel in Channel if limits.keeps_budget(None, channel, 0)}


# --- when there is room -------------------------------------------------------------------------


def test_a_message_counts_until_its_window_has_passed() -> None:
    budgets = [Budget(EMAIL, 2, HOUR)]

    assert room(budgets, EMAIL, minutes(-30), NOON) == NOON
    assert in_minutes(room(budgets, EMAIL, minutes(-50, -20), NOON)) == 10
    assert room(budgets, EMAIL, minutes(-60, -20), NOON) == NOON
    assert in_minutes(room(budgets, EMAIL, minutes(-50, -40, -20, 0), NOON)) == 40


def test_each_budget_counts_its_own_channel_and_all_counts_what_interrupts() -> None:
    spent = [*minutes(-10, -5), (NOON, SMS), (NOON, Channel.IN_APP), (NOON, Channel.WEBHOOK)]

    assert room([Budget(PUSH, 1, HOUR)], PUSH, spent, NOON) == NOON
    assert room([Budget(None, 4, HOUR)], PUSH, spent, NOON) == NOON
    assert in_minutes(room([Budget(None, 3, HOUR)], PUSH, spent, NOON)) == 50
    assert room([Budget(None, 1, HOUR)], Channel.IN_APP, spent, NOON) == NOON


def test_the_tightest_of_several_budgets_decides() -> None:
    budgets = [Budget(EMAIL, 1, HOUR), Budget(EMAIL, 2, DAY)]

    assert in_minutes(room(budgets, EMAIL, minutes(-10), NOON)) == 50
    assert in_minutes(room(budgets, EMAIL, minutes(-120, -90), NOON)) == 22 * 60


@given(
    st.lists(st.tuples(st.sampled_from([EMAIL, PUSH]), st.integers(0, 90)), min_size=1, max_size=30),
    st.lists(
        st.tuples(st.sampled_from([None, EMAIL]), st.integers(1, 4), st.sampled_from([7, 30])), min_size=1, max_size=3
    ),
)
def test_nobody_gets_more_than_allowed_and_nobody_waits_where_there_is_room(
    asked: list[tuple[Channel, int]], allowed: list[tuple[Channel | None, int, int]]
) -> None:
    budgets = [Budget(channel, limit, timedelta(minutes=window)) for channel, limit, window in allowed]
    out: list[tuple[datetime, Channel]] = []
    for channel, minute in sorted(asked, key=lambda one: one[1]):
        now = max([NOON + timedelta(minutes=minute), *(at for at, _ in out)])
        at = room(budgets, channel, out, now)
        before = at - timedelta(microseconds=1)
        assert at == now or room(budgets, channel, out, before) > before
        out.append((at, channel))

    for budget in budgets:
        counted = sorted(at for at, channel in out if budget.concerns(channel))
        for first, over in zip(counted, counted[budget.limit :], strict=False):
            assert over - first >= budget.window
