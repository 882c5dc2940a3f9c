"""What a process shares between its flow runs: the engine, and which runs are to stop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from notify.channels import catalog
from notify.engine.contents import Contents
from notify.engine.context import Engine
from notify.registry import load
from notify.settings import Settings
from notify.store import schema
from notify.store.database import Database


@dataclass
class _Shared:
    engine: Engine | None = None
    running: set[str] = field(default_factory=lambda: set[str]())
    cancelled: set[str] = field(default_factory=lambda: set[str]())
    closing: bool = False


_shared = _Shared()


def build(settings: Settings) -> Engine:
    """An engine as the settings say: the store brought up to date, workflows and templates read."""
    database = Database(settings.database_url)
    schema.upgrade(database)
    registry = load(settings.flows)
    return Engine(settings, database, registry, contents(settings, database), catalog.providers(settings))


def contents(settings: Settings, database: Database) -> Contents:
    """The templates beside the workflows."""
    variables = {"app_url": settings.app_url}
    return Contents(settings.flows / "templates", variables, database=database, environment=settings.environment)


def install(engine: Engine | None) -> None:
    """Make this the engine of the process's flow runs."""
    _shared.engine = engine
    _shared.closing = False


async def engine() -> Engine:
    """The process's engine; a flow run outside a worker of ours builds one from the environment."""
    if _shared.engine is None:
        install(await asyncio.to_thread(build, Settings.from_env()))
    assert _shared.engine is not None
    return _shared.engine


def began(flow_run: str) -> None:
    """A flow run of this process is at work."""
    _shared.running.add(flow_run)
    _shared.cancelled.discard(flow_run)


def ended(flow_run: str) -> None:
    """It is over."""
    _shared.running.discard(flow_run)


def running() -> set[str]:
    """The flow runs at work in this process."""
    return set(_shared.running)


def cancel(flow_run: str) -> None:
    """Let a run stop at its next round."""
    _shared.cancelled.add(flow_run)


def close() -> None:
    """Let every run stop at its next round: the worker ends."""
    _shared.closing = True


def was_cancelled(flow_run: str) -> bool:
    """Whether somebody cancelled the run."""
    return flow_run in _shared.cancelled


def is_closing() -> bool:
    """Whether the worker ends."""
    return _shared.closing


def is_stopping(flow_run: str) -> bool:
    """Whether the run is to claim nothing more."""
    return _shared.closing or was_cancelled(flow_run)
