"""The system's own events: what failed, what was cancelled, and who is alerted."""

from __future__ import annotations

from pathlib import Path

import pytest

from notify.engine.calling_off import REASON, called_off
from notify.store import alarms
from notify.testing import rehearsal
from tests.house.source import ROOT

MONDAY = "2026-03-02 09:00 UTC"
FLOW = """
from typing import Any
from notify.model import Event
from notify.workflow import Notification, workflow

def everybody(event: Event) -> list[str]:
    return ["ops"]

@workflow("waits")
async def waits(n: Notification[dict[str, Any]]) -> None:
    await n.sleep("an-hour", hours=1)
    await n.in_app("hello")

@workflow("hears", on="inngest/function.cancelled", to=everybody)
async def hears(n: Notification[dict[str, Any]]) -> None:
    await n.in_app("hello")
"""


@pytest.fixture
def flows(tmp_path: Path) -> Path:
    (tmp_path / "both.py").write_text(FLOW)
    for workflow in ("waits", "hears"):
        folder = tmp_path / "templates" / workflow
        folder.mkdir(parents=True)
        text = "{% block body %}{{ payload.function_id | default('hello') }}{% endblock %}"
        (folder / "hello.in_app.j2").write_text(text)
    return tmp_path


def test_a_cancellation_is_an_event_where_somebody_listens(flows: Path) -> None:
    with rehearsal(MONDAY, flows=flows) as r:
        told = r.trigger("waits", to="ana")

        r.cancel(told)

        assert r.sent("ops").bodies == ["waits"]


def test_whoever_waits_for_a_wake_up_that_an_operator_cancelled_is_cancelled(flows: Path) -> None:
    with rehearsal(MONDAY, flows=flows) as r:
        told = r.trigger("waits", to="ana")
        with r.engine.database.write() as connection:
            rung = alarms.all_of(connection, r.engine.environment)
            assert called_off(connection, r.engine.environment, r.engine.registry, rung) == 1

        r.advance(hours=2)

        assert [(line.status, line.reason) for line in r.notify.outcomes(told).lines] == [("cancelled", REASON)]
        assert not r.sent("ana")


def test_whoever_is_on_call_hears_that_a_workflow_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_ALERT_ON_FAILURE_TO", "ops")
    with rehearsal(MONDAY, flows=ROOT / "flows") as r:
        r.emit("notify/workflow.failed", _failure())

        (alert,) = r.sent("ops", "email")
        assert "task-assigned" in str(alert.subject)
        assert "it broke" in alert.body


def _failure() -> dict[str, object]:
    error = {"name": "ValueError", "message": "it broke", "stack": "…"}
    event = {"id": "e1", "name": "task/assigned", "data": {}}
    return {"function_id": "task-assigned", "run_id": "r1", "status": "failed", "error": error, "event": event}
