"""Prefect is away when it has not answered for long; the log says so once, and once that it is back."""

from __future__ import annotations

import asyncio

import pytest

from notify.engine import presence
from notify.engine.lanes import Lane
from notify.engine.presence import Presence
from tests.eventually import eventually


async def _refuses() -> None:
    raise ConnectionError("refused")


async def _answers() -> None:
    return


async def _hangs() -> None:
    await asyncio.Event().wait()


async def test_one_answer_missed_is_not_an_outage(caplog: pytest.LogCaptureFixture) -> None:
    found = Presence(patience=1000)
    await found.look(_refuses)

    assert (found.answers, found.away, caplog.messages) == (False, False, [])
    await found.look(_answers)
    assert (found.answers, caplog.messages) == (True, [])


async def test_the_log_says_once_that_it_is_away_and_once_that_it_is_back(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "ANSWER", 0.001)
    found = Presence(patience=0)
    for ask in (_refuses, _hangs, _refuses):
        await found.look(ask)
    assert found.away
    found.patience = 1000
    for _ in range(2):
        await found.look(_answers)

    assert not found.away
    first, last = caplog.messages
    assert first.startswith("Prefect has not answered since ")
    assert "(refused)" in first
    assert last.startswith("Prefect answers again, after ")


async def test_what_it_answers_to_others_need_not_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Presence()
    await found.hear(_answers)

    await found.look(_refuses)
    assert found.answers
    monkeypatch.setattr(presence, "FRESH", 0)
    await found.hear(_answers)
    await found.look(_refuses)
    assert not found.answers


async def test_an_answer_that_took_too_long_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "ANSWER", 0)
    found = Presence()
    found.start_without()

    await found.hear(_answers)
    assert not found.answers
    with pytest.raises(ConnectionError):
        await found.hear(_refuses)
    assert not found.answers


async def test_a_worker_that_starts_without_it_is_patient_first() -> None:
    found = Presence(patience=1000)
    found.start_without()

    assert (found.answers, found.away) == (False, False)


async def test_a_lane_has_a_workflow_once_and_so_many_at_a_time() -> None:
    began: list[str] = []
    gate = asyncio.Event()

    async def ring(workflow: str) -> None:
        began.append(workflow)
        await gate.wait()

    lane = Lane(ring, lambda: None, limit=2)
    for workflow in ("a", "a", "b", "c"):
        lane.start(workflow)
    await eventually(lambda: len(began) == 2, "as many as there are places")
    held_up = list(began)
    lane.let_go()
    lane.start("a")
    await eventually(lambda: len(began) == 3, "the place is free")
    unfinished = lane.unfinished
    gate.set()
    await asyncio.gather(*unfinished)

    assert held_up == ["a", "b"]
    assert began == ["a", "b", "a"]
    assert len(unfinished) == 3
    assert (lane.tasks, lane.unfinished) == ({}, set())
