"""`prefect.yaml` is the only list of deployments, and it lists everything."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from prefect.events.schemas.automations import EventTrigger

from notify import registry
from notify.engine import automations, deploy
from notify.errors import InvalidInput
from tests.house.source import ROOT

CALENDARS = {"daily-digest", "weekly-digest"}


def test_every_workflow_has_its_two_deployments_in_prefect_yaml() -> None:
    found = registry.load(ROOT / "flows")
    listed = {made.full_name for made in deploy.listed(found, ROOT / "prefect.yaml")}

    wanted = {f"{id_}/{'cron' if id_ in CALENDARS else 'notify'}" for id_ in found.workflows}
    assert found.broken == ()
    assert listed == wanted | {f"{id_}/batch" for id_ in found.workflows} | {
        "report/delivery",
        "sweep/cron",
        "deliver/batch",
    }


def test_a_digest_is_asked_at_every_quarter_hour_in_utc() -> None:
    found = registry.load(ROOT / "flows")
    crons = {made.full_name: made.cron for made in deploy.listed(found, ROOT / "prefect.yaml") if made.name == "cron"}

    assert {crons[f"{id_}/cron"] for id_ in CALENDARS} == {("*/15 * * * *",)}


def test_the_form_asks_for_the_payload_and_a_batch_asks_for_nothing() -> None:
    found = registry.load(ROOT / "flows")
    made = {one.full_name: one.flow for one in deploy.listed(found, ROOT / "prefect.yaml")}

    form = made["task-assigned/notify"].parameters.model_dump_for_openapi()
    assert form["required"] == ["payload"]
    assert form["definitions"]["TaskAssigned"]["properties"]["taskTitle"]["title"] == "Task title"
    assert not made["task-assigned/batch"].parameters.model_dump_for_openapi().get("required")


def test_the_shipped_automations_watch_failures_lateness_and_the_pool_and_need_no_credential() -> None:
    file = automations.find_automations(ROOT)
    alert = {"alert-on-failure/notify": UUID(int=1)}

    made = {one.name: one for one in automations.listed(file, alert)}

    assert file == ROOT / "deployments" / "automations.yaml"
    assert [sorted(one.trigger.expect) for one in made.values() if isinstance(one.trigger, EventTrigger)] == [
        ["prefect.flow-run.Crashed", "prefect.flow-run.Degraded", "prefect.flow-run.Failed"],
        ["prefect.flow-run.Late"],
        ["prefect.work-pool.not-ready"],
    ]
    assert {action.type for one in made.values() for action in one.actions} == {"run-deployment"}
    assert {action.type for one in automations.listed(file, {}) for action in one.actions} == {"do-nothing"}


def test_a_mistake_in_an_automation_is_named(tmp_path: Path) -> None:
    file = tmp_path / "automations.yaml"
    file.write_text("automations:\n  - {name: mine, expects: [prefect.flow-run.Failed]}\n")

    with pytest.raises(InvalidInput, match=r"automations\.yaml: mine: has 'expects'\. Known are description, expect, "):
        automations.listed(file, {})
