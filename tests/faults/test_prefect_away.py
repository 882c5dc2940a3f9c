"""Prefect's server goes away and comes back: nobody waits for it long, nothing is lost, and it hears of everything."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.outage_world import Outage

pytestmark = pytest.mark.long


@pytest.fixture
def outage(tmp_path: Path, sqlite_url: str, known_to_prefect: Callable[[Path], Path]) -> Iterator[Outage]:
    known_to_prefect(tmp_path / "server")
    made = Outage(tmp_path, sqlite_url)
    yield made
    made.close()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["gone", "silent"])
def test_work_goes_on_without_it_and_is_reported_on_return(outage: Outage, how: signal.Signals) -> None:
    outage.start_server()
    outage.start_worker()
    outage.ask("later", after=40)
    outage.ask("news")
    outage.until(lambda: outage.told() == ["news"] and outage.armed("later"), "the worker works, an alarm is armed")
    outage.until(lambda: len(_open(outage)) == 1, "only the sleeper's flow run is still to come")
    before = {run["id"] for run in outage.flow_runs()}

    outage.silence(how)
    for person in ("ana", "bo"):
        outage.ask("news", to=person)
    outage.ask("code")
    outage.until(lambda: "code" in outage.told(), "the urgent one is told")
    at_once = outage.told()
    outage.ask("code", to="bo", fails=True)
    outage.until(lambda: len(outage.told()) == 5, "the others and the sleeper are told, too")
    outage.until(lambda: {"code", "news", "later"} <= set(outage.unreported()), "what was done is written down")
    away = outage.unreported()
    outage.back(how)
    outage.until(lambda: not outage.unreported(), "everything is reported")

    assert at_once == ["news", "code"]
    assert Counter(outage.told()) == {"news": 3, "code": 1, "later": 1}
    assert (away["news"].name, away["code"].state) == ("news · 2 people", "Degraded")
    found = {run["name"]: run["state"] for run in outage.records()}
    assert {name: state["name"] for name, state in found.items()} == {
        "code · 2 people": "Degraded",
        "news · 2 people": "Completed",
        "later · 1 person": "Completed",
    }
    assert found["news · 2 people"]["message"].startswith("2 people, 2 messages · ")
    assert "no such thing" in found["code · 2 people"]["message"]
    outage.until(lambda: not _open(outage), "no flow run is left open")
    # Three records, and at most the two rings that were asked for before anybody knew.
    assert len({run["id"] for run in outage.flow_runs()} - before) <= 5
    assert outage.log.count("Prefect has not answered since") == 1
    assert outage.log.count("Prefect answers again") == 1

    outage.ask("news")
    outage.until(lambda: len(outage.told()) == 6, "it goes through Prefect again")
    outage.until(lambda: not _open(outage), "and ends there")
    assert len(outage.records()) == 3
    assert outage.unreported() == {}
    assert outage.clean()
    assert outage.stop_worker() == 0, outage.said


def _open(outage: Outage) -> list[str]:
    """Flow runs that have not ended."""
    ended = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
    return [run["name"] for run in outage.flow_runs() if run["state_type"] not in ended]


def test_a_worker_starts_without_it_and_registers_when_it_comes(outage: Outage) -> None:
    outage.ask("news")
    outage.start_worker()
    outage.until(lambda: outage.told() == ["news"], "it works without a server")
    outage.until(lambda: outage.unreported(), "and writes down what it did")
    outage.start_server()
    outage.until(lambda: not outage.unreported(), "the server hears of it")
    outage.ask("news", to="bo")
    outage.until(lambda: outage.told() == ["news", "news"], "it goes through Prefect now")

    assert outage.said.startswith(f"No Prefect server answers at {outage.api}. ")
    assert [run["name"] for run in outage.records()] == ["news · 1 person"]
    assert len(outage.flow_runs()) == 2, "one flow run each"
    assert outage.clean()


def test_a_worker_stops_while_it_is_away(outage: Outage) -> None:
    outage.start_worker()
    outage.ask("news")
    outage.until(lambda: outage.unreported(), "it works without a server")

    assert outage.stop_worker() == 0, outage.said
    assert set(outage.unreported()) == {"news"}
    outage.start_server()
    outage.start_worker()
    outage.until(lambda: not outage.unreported(), "the next one reports it")
    assert [run["name"] for run in outage.records()] == ["news · 1 person"]
