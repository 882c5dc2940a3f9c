"""What is to happen at an instant happens once, whatever was away then: everything, the worker, or nobody twice."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from notify.store.tables import alarms
from tests.engine.office_world import PATIENCE, Office
from tests.eventually import eventually_sync

pytestmark = pytest.mark.long

REMINDER, DIGEST = "deadline-urgent", "daily-digest"
HOUR, QUARTER, DAY = timedelta(hours=1), timedelta(minutes=15), timedelta(days=1)
CLEAN = "nothing lost, nothing decided twice.\n"


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory, known_to_prefect: Callable[[Path], Path]) -> Iterator[Office]:
    made = Office(tmp_path_factory.mktemp("office"), known_to_prefect)
    try:
        made.open()
        yield made
    finally:
        made.close()


# --- everything is killed -----------------------------------------------------------------------


def test_a_reminder_outlives_the_power_and_comes_once(office: Office) -> None:
    """Two of them: the instant of one passes in the dark, that of the other when everything is back, or nearly."""
    instants, wakes = _asleep_when_the_power_goes(office)

    office.power_back()

    told = office.once_each(REMINDER, *instants)
    for row in told:
        late = (row.sent_at or row.delivered_at) - instants[row.subscriber]
        print(f"{row.subscriber}: {row.channel} {late.total_seconds():.3f} s after its instant")
        assert late >= timedelta()
    # Also when the runs that stood for the instants have done what is left to do.
    assert len(office.said(wakes)) == 2
    assert office.once_each(REMINDER, *instants) == told
    assert office.audited().endswith(CLEAN)


def _asleep_when_the_power_goes(office: Office) -> tuple[dict[str, datetime], list[str]]:
    """Who is to be reminded when, and the flow runs that stand for it: a slow machine gets later instants."""
    for seconds in (12, 50, 200):
        first = datetime.now(UTC) + timedelta(seconds=seconds)
        instants = {f"dark{seconds}": first, f"light{seconds}": first + timedelta(seconds=20)}
        for person, at in instants.items():
            office.assign(person, due=at + HOUR)
        wakes = _asleep(office, first)
        office.power_cut()
        if len(wakes) == 2 and datetime.now(UTC) < first:
            return instants, wakes
        office.power_back()
    raise AssertionError("whoever was to be reminded in the dark had been before the power went")


def _asleep(office: Office, first: datetime) -> list[str]:
    """The flow runs that stand for this instant and the next, or less than two if it has come before they do."""
    a = alarms.c
    armed = sa.select(a.flow_run).where(a.workflow == REMINDER, a.bucket >= first, a.flow_run.is_not(None))

    def stand() -> bool:
        return len(office.rows(armed)) == 2 or datetime.now(UTC) > first

    eventually_sync(stand, "flow runs stand for their instants", within=PATIENCE)
    return [row.flow_run for row in office.rows(armed)]


# --- ticks --------------------------------------------------------------------------------------


def _collected(office: Office, *people: str) -> None:
    """Three days of a week ago, on each of which these people got a task: their digests are due since."""
    for person in people:
        for days in (9, 8, 7):
            office.assign(person, at=datetime.now(UTC) - days * DAY)
    news = 3 * len(people)
    eventually_sync(lambda: office.waiting(DIGEST, *people) == news, "their news collect", within=PATIENCE)


def test_a_cron_deployment_that_fires_twice_sends_once(office: Office) -> None:
    _collected(office, "ana", "bo")
    soon = datetime.now(UTC) + timedelta(seconds=2)

    at_once = office.said([office.fire(f"{DIGEST}/cron", soon) for _ in range(2)])
    told = office.once_each(DIGEST, "ana", "bo")
    [after] = office.said([office.fire(f"{DIGEST}/cron", datetime.now(UTC))])

    assert sum(int(count) for said in at_once for count in re.findall(r"^(\d+) digests?: ", said)) == 2
    assert after.startswith("Nothing due, nothing sent: ")
    assert office.once_each(DIGEST, "ana", "bo") == told


def test_a_worker_away_over_three_ticks_sends_each_person_one_digest(office: Office) -> None:
    _collected(office, "cy", "dee")
    office.worker_goes()
    ticks = _three_ticks(office)
    late = lambda: {state["name"] for state in office.states(ticks)} == {"Late"}  # noqa: E731
    eventually_sync(late, "Prefect says that they are late", within=PATIENCE)

    office.worker_returns()
    *earlier, last = office.said(ticks)

    told = office.once_each(DIGEST, "cy", "dee")
    assert [row.content["subject"] for row in told if row.channel == "in_app"] == ["Your day: 3 tasks"] * 2
    assert last.startswith("2 digests: 2 people, 4 messages")
    # The others were never begun: they are completed, and say which run did what was theirs to do.
    assert earlier == [f"Late: the run {ticks[-1]} does its work"] * 2
    assert office.audited().endswith(CLEAN)


def _three_ticks(office: Office) -> list[str]:
    """Runs of three quarter hours of yesterday, made by Prefect's own scheduler, in order."""
    deployment, until = office.deployment(f"{DIGEST}/cron")["id"], datetime.now(UTC) - DAY
    office.schedule(f"{DIGEST}/cron", active=True)
    span = {"start_time": (until - 3 * QUARTER).isoformat(), "end_time": until.isoformat()}
    office.call("POST", f"deployments/{deployment}/schedule", **span, min_runs=3, max_runs=3)
    office.schedule(f"{DIGEST}/cron", active=False)
    past = {"expected_start_time": {"before_": until.isoformat()}, "deployment_id": {"any_": [deployment]}}
    found = office.call("POST", "flow_runs/filter", flow_runs=past, sort="EXPECTED_START_TIME_ASC")
    assert [run["auto_scheduled"] for run in found] == [True] * 3
    return [run["id"] for run in found]
