"""A trigger through the Prefect API: the flow run does this very work, and its id is the transaction id."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound
from prefect.states import Scheduled

from notify.engine.session import use_prefect
from notify.errors import NotFound, PrefectUnavailable
from notify.outcomes import Outcomes, outcomes
from notify.settings import Settings
from notify.store.database import Database

#: Seconds between looks at a run that is waited for.
_LOOK = 0.2


@dataclass(frozen=True)
class Submitted:
    """A flow run that was asked for."""

    flow_run_id: str
    url: str
    database: Database
    environment: str

    @property
    def id(self) -> str:
        """The transaction id: it cancels the trigger and finds it in the log."""
        return self.flow_run_id

    def wait(self, timeout: float = 60.0) -> Outcomes:
        """Wait until the flow run has ended; answers what became of it per person and channel.

        A TimeoutError after `timeout` seconds: the run goes on, and its outcomes can be read later.
        """
        deadline = time.monotonic() + timeout
        with get_client(sync_client=True) as client:
            while not _ended(client, UUID(self.flow_run_id)):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"flow run {self.flow_run_id} has not ended within {timeout:.0f} s")
                threading.Event().wait(_LOOK)
        with self.database.read() as connection:
            return outcomes(connection, self.environment, self.flow_run_id)


def _ended(client: SyncPrefectClient, flow_run: UUID) -> bool:
    state: State[Any] | None = client.read_flow_run(flow_run).state
    return state is not None and state.is_final()


def submit(
    settings: Settings,
    database: Database,
    workflow: str,
    *,
    to: Any,
    payload: Any,
    at: datetime | None,
    idempotency_key: str | None,
) -> Submitted:
    """Ask for a run of `<workflow>/notify`; the same idempotency key gives the same run."""
    if settings.prefect_api_url is None:
        raise PrefectUnavailable(url="(PREFECT_API_URL is not set)", problem="submit needs a Prefect server")
    use_prefect(settings.prefect_api_url, settings.home)
    parameters: Mapping[str, Any] = {"payload": payload} | ({"to": _ids(to)} if to is not None else {})
    try:
        with get_client(sync_client=True) as client:
            flow_run = _create(client, workflow, parameters, at, idempotency_key)
    except httpx.TransportError as error:
        raise PrefectUnavailable(url=settings.prefect_api_url, problem=str(error) or type(error).__name__) from error
    url = f"{settings.prefect_api_url.removesuffix('/api')}/runs/flow-run/{flow_run}"
    return Submitted(str(flow_run), url, database, settings.environment)


def _create(
    client: SyncPrefectClient, workflow: str, parameters: Mapping[str, Any], at: datetime | None, key: str | None
) -> UUID:
    name = f"{workflow}/notify"
    try:
        deployment = client.read_deployment_by_name(name)
    except ObjectNotFound:
        remedy = "Run `notify deploy`, or start `notify dev`."
        raise NotFound(what="deployment", id=name, remedy=remedy) from None
    flow_run = client.create_flow_run_from_deployment(
        deployment.id, parameters=dict(parameters), state=Scheduled(scheduled_time=at), idempotency_key=key
    )
    return flow_run.id


def _ids(to: Any) -> list[str]:
    return [to] if isinstance(to, str) else list(to)
