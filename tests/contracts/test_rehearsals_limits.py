"""Rehearsing with limits: hours for people who set none, and budgets, given as workers are given them."""

from __future__ import annotations

from pathlib import Path

import pytest

from notify.errors import InvalidInput, InvalidSetting
from notify.testing import rehearsal
from notify.testing.plugin import Rehearse
from tests.contracts.rehearsing_world import MONDAY, write


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("flows"))


def test_what_is_over_a_budget_goes_out_when_there_is_room(flows: Path) -> None:
    with rehearsal(MONDAY, flows=flows, settings={"NOTIFY_BUDGET": "email: 2/day"}) as r:
        for hour in range(2):
            r.trigger("now", to="ana", payload={"says": f"at {hour}"})
            r.advance("1h")

        assert r.sent("ana", "email").subjects == ["at 0", "all"]
        r.advance("1d")
        assert r.sent("ana", "email").times[2:] == ["2026-03-03 09:00"] * 2


def test_what_comes_at_night_waits_for_the_usual_hours(flows: Path, rehearsal: Rehearse) -> None:
    r = rehearsal("2026-03-02 22:00 Europe/Rome", flows=flows, settings={"NOTIFY_SCHEDULE": "mon-fri 09:00-17:00"})
    r.trigger("now", to="ana")
    assert r.sent("ana").channels == ["in_app"]

    r.advance("12h")

    assert {mail.times[0] for mail in (r.sent("ana", "email"), r.sent("ana", "push"))} == {"2026-03-03 09:00"}


def test_without_settings_nothing_holds_whatever_the_environment_says(
    flows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_BUDGET", "all: 1/week")
    with rehearsal(MONDAY, flows=flows) as r:
        r.trigger("now", to="ana")

        assert len(r.sent("ana", "email")) == 2


def test_an_unknown_name_is_refused(flows: Path) -> None:
    misspelled = {"NOTIFY_BUGDET": "all: 1/day"}
    with pytest.raises(InvalidInput) as refused, rehearsal(MONDAY, flows=flows, settings=misspelled):
        pass

    assert str(refused.value) == (
        "settings: no limit is called 'NOTIFY_BUGDET'. "
        "A rehearsal takes NOTIFY_SCHEDULE, NOTIFY_BUDGET, NOTIFY_BUDGET_EXEMPT, NOTIFY_BUDGET_OVERFLOW"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NOTIFY_BUDGET", "email: many/day"),
        ("NOTIFY_SCHEDULE", "someday"),
        ("NOTIFY_BUDGET_EXEMPT", "low"),
        ("NOTIFY_BUDGET_OVERFLOW", "drop"),
    ],
)
def test_a_value_is_refused_as_workers_refuse_it(flows: Path, name: str, value: str) -> None:
    with pytest.raises(InvalidSetting, match=name), rehearsal(MONDAY, flows=flows, settings={name: value}):
        pass


def test_what_is_no_text_is_refused(flows: Path) -> None:
    given: dict[str, object] = {"NOTIFY_BUDGET": 3}
    with pytest.raises(InvalidInput, match="3 is no text"), rehearsal(MONDAY, flows=flows, settings=given):  # pyright: ignore
        pass
