"""Deployments: `prefect.yaml` is the only list of them; here they are registered quickly, the same ones each time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import yaml
from prefect import Flow
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from notify.engine import system_flows
from notify.engine.flows import NotifyFlow, as_flow
from notify.engine.pool import POOL, job_template
from notify.errors import InvalidInput
from notify.registry import Registry
from notify.workflow import Workflow

#: Marks schedules that are off because a worker was to run only until idle.
_UNTIL_IDLE = "until-idle"
_ENTRYPOINT = re.compile(r"^(?P<file>.+\.py):flow(\.(?P<part>batch|cron))?$")


@dataclass(frozen=True)
class Deployment:
    """One entry of `prefect.yaml`."""

    name: str
    entrypoint: str
    flow: Flow[..., Any]
    cron: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    description: str | None = None
    concurrency: int | None = None
    pool: str = POOL
    parameters: Mapping[str, Any] = field(default_factory=lambda: {})

    @property
    def full_name(self) -> str:
        """`<flow>/<deployment>`, as Prefect spells it."""
        return f"{self.flow.name}/{self.name}"


def listed(registry: Registry, file: Path) -> list[Deployment]:
    """The deployments `file` lists, of the workflows that exist; system flows are named by their module."""
    content = cast("dict[str, Any] | None", yaml.safe_load(file.read_text()) if file.is_file() else None)
    entries = cast("list[Mapping[str, Any]]", (content or {}).get("deployments") or [])
    flows = {workflow.file.name: as_flow(workflow) for workflow in registry.workflows.values()}
    return [made for entry in entries if (made := _deployment(entry, flows, file)) is not None]


def _deployment(entry: Mapping[str, Any], flows: Mapping[str, NotifyFlow], file: Path) -> Deployment | None:
    entrypoint = str(entry.get("entrypoint", ""))
    flow = _flow(entrypoint, flows)
    if flow is None:
        return None
    if not entry.get("name"):
        raise InvalidInput(field=f"{file.name}: {entrypoint}", problem="has no name", remedy="Add `name:`")
    _refuse_limit(entry, flow, file)
    schedules = [one for one in entry.get("schedules") or () if one.get("cron")]
    return Deployment(
        name=entry["name"],
        entrypoint=entrypoint,
        flow=flow,
        cron=tuple(one["cron"] for one in schedules),
        tags=tuple(entry.get("tags") or ()),
        description=entry.get("description"),
        concurrency=entry.get("concurrency_limit"),
        pool=_pool(entry.get("work_pool")),
        parameters=entry.get("parameters") or {},
    )


def _pool(entry: Mapping[str, Any] | None) -> str:
    return str(entry.get("name") or POOL) if entry else POOL


def _refuse_limit(entry: Mapping[str, Any], flow: Flow[..., Any], file: Path) -> None:
    """The system's own runs are few and safe to double; one that waits for a slot a dead run holds mends nothing."""
    if entry.get("concurrency_limit") is None or system_flows.named(flow.name) is not flow:
        return
    raise InvalidInput(
        field=f"{file.name}: {flow.name}/{entry['name']}: concurrency_limit",
        problem="limits a system deployment",
        remedy="Remove it: what only one may do at a time is claimed in the store; limits are for workflows",
    )


def _flow(entrypoint: str, flows: Mapping[str, NotifyFlow]) -> Flow[..., Any] | None:
    """The flow an entrypoint names: of a workflow's file, or of the system's module; None for somebody else's."""
    module, _, name = entrypoint.rpartition(".")
    if module == system_flows.__name__:
        return getattr(system_flows, name, None)
    found = _ENTRYPOINT.match(entrypoint)
    made = flows.get(Path(found["file"]).name) if found else None
    if made is None or found is None:
        return None
    return getattr(made, found["part"]) if found["part"] else made


def missing(registry: Registry, deployments: Iterable[Deployment]) -> list[Workflow]:
    """Workflows that no entry lets run: they have no `batch` deployment."""
    run = {made.flow.name for made in deployments if made.name == "batch"}
    return [workflow for workflow in registry.workflows.values() if workflow.id not in run]


def implied(workflow: Workflow) -> list[Deployment]:
    """What a workflow that `prefect.yaml` forgot is given, so that nothing of it waits for ever."""
    flow = as_flow(workflow)
    where = f"flows/{workflow.file.name}:flow"
    return [Deployment("notify", where, flow), Deployment("batch", f"{where}.batch", flow.batch)]


async def register(
    client: PrefectClient, deployments: Sequence[Deployment], *, folder: Path, schedules: bool
) -> dict[str, UUID]:
    """Create or update them all; with `schedules` False their schedules are off. Returns ids by full name."""
    await ensure_pool(client)
    for pool in sorted({made.pool for made in deployments} - {POOL}):
        await _require_pool(client, pool)
    return {made.full_name: await _register(client, made, folder, schedules) for made in deployments}


async def ensure_pool(client: PrefectClient) -> None:
    """The work pool our workers serve."""
    try:
        await client.create_work_pool(WorkPoolCreate(name=POOL, type=POOL, base_job_template=job_template()))
    except ObjectAlreadyExists:
        return


async def _require_pool(client: PrefectClient, pool: str) -> None:
    """Somebody else's pool is theirs to make: what its jobs are is not ours to guess."""
    try:
        await client.read_work_pool(pool)
    except ObjectNotFound:
        raise InvalidInput(
            field="prefect.yaml: work_pool",
            problem=f"there is no work pool {pool!r}",
            remedy=f"Create it with `prefect work-pool create {pool}`",
        ) from None


async def refuse_limited_pool(client: PrefectClient) -> None:
    """No limit stands on the pool: runs of a killed worker would hold its slots."""
    limit = (await client.read_work_pool(POOL)).concurrency_limit
    if limit is not None:
        raise InvalidInput(
            field=f"work pool {POOL}: concurrency_limit",
            problem=f"is {limit}",
            remedy=f"Run `prefect work-pool clear-concurrency-limit {POOL}`; limit single workflows in prefect.yaml",
        )


async def _register(client: PrefectClient, made: Deployment, folder: Path, schedules: bool) -> UUID:
    kept = await _switched_off(client, made) if schedules else set[str]()
    flow_id = await client.create_flow(made.flow)
    return await client.create_deployment(
        flow_id=flow_id,
        name=made.name,
        entrypoint=made.entrypoint,
        path=str(folder),
        work_pool_name=made.pool,
        tags=list(made.tags),
        description=made.description or made.flow.description,
        schedules=[
            _schedule(cron, schedules and cron not in kept, f"{'cron' if schedules else _UNTIL_IDLE}-{place}")
            for place, cron in enumerate(made.cron)
        ],
        concurrency_limit=made.concurrency,
        parameters=dict(made.parameters),
        parameter_openapi_schema=made.flow.parameters.model_dump_for_openapi(),
        enforce_parameter_schema=True,
        pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": str(folder)}}],
    )


async def _switched_off(client: PrefectClient, made: Deployment) -> set[str]:
    """The schedules an operator switched off: they stay so when a worker starts."""
    try:
        found = await client.read_deployment_by_name(made.full_name) if made.cron else None
    except ObjectNotFound:
        return set()
    known = found.schedules if found else []
    off = [one for one in known if not one.active and not (one.slug or "").startswith(_UNTIL_IDLE)]
    return {one.schedule.cron for one in off if isinstance(one.schedule, CronSchedule)}


def _schedule(cron: str, active: bool, slug: str) -> DeploymentScheduleCreate:
    return DeploymentScheduleCreate(schedule=CronSchedule(cron=cron, timezone="UTC"), active=active, slug=slug)
