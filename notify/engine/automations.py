"""The automations of `deployments/automations.yaml`, applied so that a second time changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import yaml
from prefect.client.orchestration import PrefectClient
from prefect.events.actions import DoNothing, RunDeployment
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

from notify.errors import InvalidInput
from notify.settings import shipped_flows

_FIELDS = {"name", "description", "expect", "match", "match_related", "run", "parameters"}
_TEMPLATED = "{{"


def find_automations(folder: Path) -> Path:
    """The file beside the list of deployments in `folder`; where there is none, the one that is shipped."""
    shipped = shipped_flows()
    places = (folder / "deployments" / "automations.yaml", shipped / "automations.yaml")
    beside = shipped.parent / "deployments" / "automations.yaml"
    return next((place for place in places if place.is_file()), beside)


def listed(file: Path, deployments: Mapping[str, UUID]) -> list[AutomationCore]:
    """The automations `file` describes; an action on a deployment that is not registered does nothing."""
    content = cast("dict[str, Any] | None", yaml.safe_load(file.read_text()) if file.is_file() else None)
    entries = cast("list[dict[str, Any]]", (content or {}).get("automations") or [])
    return [_automation(entry, deployments, file) for entry in entries]


def _automation(entry: Mapping[str, Any], deployments: Mapping[str, UUID], file: Path) -> AutomationCore:
    where = f"{file.name}: {entry.get('name', 'an automation')}"
    if unknown := sorted(set(entry) - _FIELDS):
        raise InvalidInput(field=where, problem=f"has {unknown[0]!r}", remedy=f"Known are {', '.join(sorted(_FIELDS))}")
    if missing := [name for name in ("name", "expect") if not entry.get(name)]:
        raise InvalidInput(field=where, problem=f"has no {missing[0]!r}", remedy="Add it")
    trigger = EventTrigger(
        posture=Posture.Reactive,
        expect=set(entry["expect"]),
        match=entry.get("match") or {},
        match_related=entry.get("match_related") or {},
        threshold=1,
        within=timedelta(0),
    )
    action = _action(entry, deployments)
    return AutomationCore(
        name=entry["name"], description=entry.get("description") or "", trigger=trigger, actions=[action]
    )


def _action(entry: Mapping[str, Any], deployments: Mapping[str, UUID]) -> RunDeployment | DoNothing:
    deployment = deployments.get(str(entry.get("run")))
    if deployment is None:
        return DoNothing()
    parameters = cast("dict[str, Any]", entry.get("parameters") or {})
    filled = {name: _rendered(value) for name, value in parameters.items()}
    return RunDeployment(source="selected", deployment_id=deployment, parameters=filled, job_variables=None)


def _rendered(value: Any) -> Any:
    """Texts with {{ … }} are filled from the event, as Prefect spells it."""
    if isinstance(value, dict):
        return {name: _rendered(one) for name, one in cast("dict[str, Any]", value).items()}
    if isinstance(value, str) and _TEMPLATED in value:
        return {"__prefect_kind": "jinja", "template": value}
    return value


async def apply(client: PrefectClient, wanted: list[AutomationCore]) -> None:
    """Make what is missing, change what differs; an operator's switching one off is kept."""
    known = {found.name: found for found in await client.read_automations()}
    for automation in wanted:
        found = known.get(automation.name)
        if found is None:
            await client.create_automation(automation)
        elif _said(found) != _said(automation):
            await client.update_automation(found.id, automation.model_copy(update={"enabled": found.enabled}))


def _said(automation: AutomationCore) -> dict[str, Any]:
    """What is compared: what the file says."""
    said = deepcopy(automation.model_dump(mode="json", include={"name", "description", "trigger", "actions"}))
    said["trigger"].pop("id", None)
    said["trigger"]["expect"] = sorted(said["trigger"]["expect"])
    return said
