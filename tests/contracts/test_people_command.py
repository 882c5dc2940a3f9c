"""`notify subscribers`, read by somebody who sees it for the first time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from notify import clock
from notify.cli import app
from notify.client import Notify
from notify.commands import week
from notify.errors import NotFound


@pytest.fixture(autouse=True)
def ana(home: Path) -> None:
    with Notify.from_env() as notify:
        notify.subscribers.save([{"subscriberId": "ana", "firstName": "Ana", "timezone": "Europe/Rome"}])


def typed(*words: str) -> str:
    result = CliRunner().invoke(app, ["subscribers", *words])
    assert result.exit_code == 0, result.output
    return result.output


def refused(*words: str) -> str:
    result = CliRunner().invoke(app, ["subscribers", *words])
    assert result.exit_code == 1
    return result.output


@pytest.mark.parametrize(
    ("hours", "shown"),
    [
        (["mon-fri 09:00-17:00"], "mon-fri 09:00-17:00"),
        (["mon-fri 09:00-17:00", "sat 10:00-12:00,14:00-16:00"], "mon-fri 09:00-17:00 · sat 10:00-12:00,14:00-16:00"),
        (["mon, wed 9:00-17:00"], "mon 09:00-17:00 · wed 09:00-17:00"),
        (["day 00:00-24:00"], "mon-sun 00:00-24:00"),
        (["fri 22:00-02:00"], "fri 22:00-02:00"),
    ],
)
def test_hours_are_shown_as_they_may_be_typed(hours: Sequence[str], shown: str) -> None:
    assert typed("schedule", "ana", *hours) == f"ana: reached {shown}\n"
    assert typed("show", "ana").splitlines()[1:] == [f"reached {shown}"]
    assert typed("schedule", "ana", *shown.split(" · ")) == f"ana: reached {shown}\n"


def test_hours_that_were_taken_away_or_are_not_in_force_leave_any_time() -> None:
    typed("schedule", "ana", "mon 09:00-17:00")

    assert typed("schedule", "ana", "--off") == "ana: reached at any time\n"
    assert typed("show", "ana") == "ana · Ana · no e-mail · Europe/Rome\nreached at any time\n"
    assert week.shown({"isEnabled": False, "weeklySchedule": {}}) == "at any time"


def test_a_person_is_shown_with_their_presence() -> None:
    with clock.use(clock.Frozen(datetime(2026, 1, 2, 9, 30, tzinfo=UTC))):
        with Notify.from_env() as notify:
            notify.subscribers.online("ana", True)
        shown = typed("show", "ana")
    as_json = json.loads(typed("show", "ana", "--json"))

    assert shown.splitlines()[2:] == ["online since 2 Jan 09:30:00 UTC"]
    assert (as_json["schedule"], as_json["online"]) == (None, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "HOURS: is missing."),
        (["mon 09:00-17:00", "--off"], "HOURS: goes without --off."),
        (["weekdays"], "HOURS: 'weekdays' is not days and hours."),
        (["mon 9:00-12:00", "mon 14:00-17:00"], "HOURS: 'mon' stands there twice."),
        (["mon soon"], "schedule.mon: 'soon' is no time of the day."),
    ],
)
def test_what_is_no_hours_is_one_line_that_says_what_to_write(words: Sequence[str], said: str) -> None:
    assert refused("schedule", "ana", *words).startswith(f"notify: {said}")


def test_nobody_has_no_hours() -> None:
    assert refused("schedule", "nobody", "--off") == f"notify: {_unknown()}\n"


def _unknown() -> NotFound:
    return NotFound(what="subscriber", id="nobody", remedy="Import people with `notify subscribers import`.")
