"""What every part of the engine holds: one value, made when a process starts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa

from notify.channels.base import Provider
from notify.engine.contents import Contents
from notify.engine.limits import Limits
from notify.model import Channel, Event, new_id
from notify.registry import Registry
from notify.settings import Settings
from notify.store import events
from notify.store.database import Database

P = ParamSpec("P")
T = TypeVar("T")

#: How long a claim lives without a sign of life. Renewed from a thread at a third of it.
LEASE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Held:
    """What is not to be begun because an operator paused it: everything, or these workflows."""

    everything: bool = False
    names: frozenset[str] = frozenset()


@dataclass
class Engine:
    """One process's engine: its settings, its store, its workflows and its providers."""

    settings: Settings
    database: Database
    registry: Registry
    contents: Contents
    providers: Mapping[Channel, Provider]
    #: This process, as the owner of claims, leases and flow runs.
    worker: str = field(default_factory=new_id)
    lease: timedelta = LEASE
    #: Seconds a batch run stays for what arrives meanwhile.
    linger: float = 1.0
    #: Set whenever this process made something ready, so that nobody here waits for a poll.
    bell: asyncio.Event = field(default_factory=asyncio.Event)
    #: Whether no application's own outbox has rows to copy: who copies them says so.
    nothing_elsewhere: Callable[[], bool] = lambda: True

    held: Held = Held()
    #: What people may get, and when; settings that mean nothing are refused when an engine is made.
    limits: Limits = field(init=False)

    def __post_init__(self) -> None:
        self.limits = Limits.of(self.settings)

    def holds(self, name: str) -> bool:
        """Whether an operator paused this workflow, `deliver`, or the work pool."""
        return self.held.everything or name in self.held.names

    @property
    def environment(self) -> str:
        """The isolated world this process works in."""
        return self.settings.environment

    async def read(self, work: Callable[Concatenate[sa.Connection, str, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`work(connection, environment, …)` on a reading connection, in a thread."""
        return await self.database.reading(work, self.environment, *args, **kwargs)

    async def write(
        self, work: Callable[Concatenate[sa.Connection, str, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`work(connection, environment, …)` in one transaction, in a thread."""
        return await self.database.writing(work, self.environment, *args, **kwargs)

    async def rung_within(self, seconds: float) -> None:
        """Return when this process makes something ready, and after so many seconds in any case."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.bell.wait(), seconds)

    def history(self) -> StoredHistory:
        """The stored events, as facts for authors' functions."""
        return StoredHistory(self.database, self.environment)

    def reloaded(self, registry: Registry, contents: Contents) -> None:
        """Take over newly read workflows; a broken file keeps the workflows it had."""
        broken = {error.file for error in registry.broken}
        kept = {id_: one for id_, one in self.registry.workflows.items() if str(one.file) in broken}
        self.registry = replace(registry, workflows={**kept, **registry.workflows})
        self.contents = contents


@dataclass(frozen=True)
class StoredHistory:
    """Facts from the events taken in so far."""

    database: Database
    environment: str

    def about(self, names: Sequence[str], subjects: Sequence[str]) -> Mapping[str, Sequence[Event]]:
        """Accepted events of these names about each subject, oldest first."""
        with self.database.read() as connection:
            return events.about(connection, self.environment, names, subjects)
