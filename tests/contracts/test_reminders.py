"""The two reminders of a deadline, on both databases."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.world import SHIPPED, START, World, migrated

DUE = datetime(2026, 1, 20, 9, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def shipped(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param), flows=SHIPPED) as made:
        made.people("ann", "bob")
        yield made


def assign(world: World, to: str = "ann", due: datetime = DUE, task: str = "T") -> str:
    data = {
        "taskId": task,
        "taskTitle": "Write it down",
        "assigneeId": to,
        "assigneeName": to.title(),
        "assignerId": "cid",
        "assignerName": "Cid",
        "projectName": "House",
        "dueDate": due,
    }
    return world.emit("task/assigned", data).transaction_id


def sent(world: World, workflow: str) -> list[tuple[str, str]]:
    return sorted((m.subscriber, m.channel) for m in world.messages() if m.workflow == workflow and m.sent_at)


@pytest.mark.parametrize(("workflow", "hours"), [("deadline-reminder", 24), ("deadline-urgent", 1)])
def test_a_reminder_goes_out_its_hours_before_the_task_is_due(shipped: World, workflow: str, hours: int) -> None:
    assign(shipped)

    shipped.at(DUE - timedelta(hours=hours, microseconds=1))
    assert sent(shipped, workflow) == []

    shipped.at(DUE - timedelta(hours=hours))
    assert sent(shipped, workflow) == [("ann", "email"), ("ann", "in_app"), ("ann", "push")]


def test_a_reminder_looks_at_the_facts_again_when_it_wakes(shipped: World, monkeypatch: pytest.MonkeyPatch) -> None:
    changed: dict[str, dict[str, Any]] = {
        "reassigned": {"assignee": "bob"},
        "moved": {"due": DUE + timedelta(days=1)},
        "completed": {"completed": True},
        "task_unknown": {"known": False},
    }
    facts = ModuleType("applications_own")
    usual = {"known": True, "assignee": "ann", "due": DUE}
    facts.tasks = SimpleNamespace(as_of=lambda asked: [usual | changed[task] for task, _ in asked])  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "applications_own", facts)
    monkeypatch.setenv("NOTIFY_PORT_TASKS", "applications_own:tasks")

    for task in changed:
        assign(shipped, task=task)
    shipped.settle()
    shipped.at(DUE - timedelta(hours=24))

    reasons = {row.cancel_key: row.reason for row in shipped.notifications("deadline-reminder")}
    assert reasons == {task: task for task in changed}
    assert sent(shipped, "deadline-reminder") == []


def test_a_reminder_that_wakes_after_the_task_was_due_tells_nobody(shipped: World) -> None:
    assign(shipped)
    shipped.settle()

    shipped.at(DUE + timedelta(days=3))

    assert shipped.statuses("deadline-reminder") == [("completed", "past")]


def test_a_reminder_for_which_it_is_too_late_tells_nobody(shipped: World) -> None:
    assign(shipped, due=START + timedelta(hours=2))
    shipped.settle()

    assert shipped.statuses("deadline-reminder") == [("completed", "too_late")]
    assert shipped.statuses("deadline-urgent") == [("waiting", None)]


@pytest.mark.parametrize(
    ("due", "reason"),
    [
        ("9999-12-31T23:59:59-05:00", "no_due_date"),
        ("9999-12-31T23:59:59Z", "no_due_date"),
        ("0001-01-01T00:00:00Z", "too_late"),
        ("0001-01-01T00:00:00+14:00", "too_late"),
    ],
)
def test_a_date_that_stands_for_none_reminds_nobody_and_keeps_nothing_else_back(
    shipped: World, due: str, reason: str
) -> None:
    assign(shipped, due=datetime.fromisoformat(due))
    assign(shipped, to="bob", task="U")
    shipped.settle()

    for workflow in ("deadline-reminder", "deadline-urgent"):
        assert sorted(shipped.statuses(workflow)) == [("completed", reason), ("waiting", None)]
    assert [who for who, _ in sent(shipped, "task-assigned")] == ["ann"] * 3 + ["bob"] * 3


@pytest.mark.parametrize("apart", [True, False], ids=["later", "at once"])
def test_a_newer_assignment_ends_the_older_ones_reminder(shipped: World, apart: bool) -> None:
    newer: dict[str, dict[str, Any]] = {
        "reassigned": {"to": "bob"},
        "moved": {"due": DUE + timedelta(days=1)},
        "superseded": {},
    }
    for task in newer:
        assign(shipped, task=task)
    if apart:
        shipped.settle()
    shipped.clock.advance(timedelta(minutes=1))
    for task, change in newer.items():
        assign(shipped, task=task, **change)
    shipped.settle()

    found = [(row.cancel_key, row.status, row.reason) for row in shipped.notifications("deadline-reminder")]
    assert sorted(found[:3]) == sorted((task, "cancelled", task) for task in newer)
    assert sorted(found[3:]) == sorted((task, "waiting", None) for task in newer)


def test_a_completed_task_ends_its_reminders(shipped: World) -> None:
    assign(shipped)
    shipped.settle()

    shipped.clock.advance(timedelta(minutes=1))
    shipped.emit("task/completed", {"taskId": "T", "completedById": "ann"})
    shipped.settle()

    assert shipped.statuses("deadline-reminder") == [("cancelled", "completed")]
    assert shipped.statuses("deadline-urgent") == [("cancelled", "completed")]
