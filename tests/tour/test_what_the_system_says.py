"""The system's own events: what failed, what was cancelled, and who is alerted."""

from __future__ import annotations

from pathlib import Path

import pytest

from notify.engine.calling_off import REASON, called_off
from notify.store import alarms
from notify.testing import world
from tests.house.source import ROOT

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
    with world(flows) as w:
        told = w.trigger("waits", to="ana")

        w.notify.cancel(told)
        w.settle()

        assert [item.body for item in w.inbox("ops")] == ["waits"]


def test_whoever_waits_for_a_wake_up_that_an_operator_cancelled_is_cancelled(flows: Path) -> None:
    with world(flows) as w:
        told = w.trigger("waits", to="ana")
        with w.engine.database.write() as connection:
            rung = alarms.all_of(connection, w.engine.environment)
            assert called_off(connection, w.engine.environment, w.engine.registry, rung) == 1

        w.advance(hours=2)

        assert w.why(told) == [("waits", "ana", None, "cancelled", REASON)]
        assert w.inbox("ana") == []


def test_whoever_is_on_call_hears_that_a_workflow_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_ALERT_ON_FAILURE_TO", "ops")
    with world(ROOT / "flows") as w:
        w.notify.subscribers.save([{"subscriberId": "ops", "email": "ops@example.com"}])

        w.emit("notify/workflow.failed", _failure())

        (alert,) = w.sent("ops")
        assert "task-assigned" in str(alert.content.subject)
        assert "it broke" in alert.content.body


def _failure() -> dict[str, object]:
    error = {"name": "ValueError", "message": "it broke", "stack": "…"}
    event = {"id": "e1", "name": "task/assigned", "data": {}}
    return {"function_id": "task-assigned", "run_id": "r1", "status": "failed", "error": error, "event": event}
