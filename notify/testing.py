"""A world for tests: your workflows over a throw-away store, providers that only remember, and a clock you move."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from notify import clock, registry
from notify.channels.memory import MemoryProvider
from notify.client import Notify
from notify.desk import InboxItem
from notify.engine import local, runtime
from notify.engine.context import Engine
from notify.model import Channel, Dispatch
from notify.settings import Settings

_SENT = (Channel.EMAIL, Channel.PUSH)


@dataclass
class World:
    """Everything a test touches. Time stands still until `advance`."""

    notify: Notify
    clock: clock.Frozen
    providers: Mapping[Channel, MemoryProvider]
    engine: Engine

    def emit(self, name: str, data: Any, **options: Any) -> str:
        """Emit an event, do all that follows from it now; answers its transaction id."""
        receipt = self.notify.emit(name, data, **options)
        self.settle()
        return receipt.transaction_id

    def trigger(self, workflow: str, **options: Any) -> str:
        """Trigger a workflow, do all that follows from it now; answers the transaction id."""
        receipt = self.notify.trigger(workflow, **options)
        self.settle()
        return receipt.transaction_id

    def advance(self, **length: float) -> datetime:
        """Move the clock (`hours=23`) and do all that is due by then; answers the new instant."""
        now = self.clock.advance(timedelta(**length))
        self.settle()
        return now

    def settle(self) -> None:
        """Do everything that can be done at this instant."""
        asyncio.run(local.settle(self.engine))

    def sent(self, subscriber: str, channel: str = "email") -> list[Dispatch]:
        """What a provider accepted for this person, in order."""
        return self.providers[Channel(channel)].to(subscriber)

    def inbox(self, subscriber: str) -> list[InboxItem]:
        """The person's in-app messages, the newest first."""
        return self.notify.inbox(subscriber).list(limit=1000)

    def why(self, transaction_id: str) -> list[tuple[str, str | None, str | None, str, str | None]]:
        """(workflow, person, channel, outcome, reason) of everything one trigger or event led to."""
        lines = self.notify.outcomes(transaction_id).lines
        return [(line.workflow, line.subscriber, line.channel, line.status, line.reason) for line in lines]


@contextmanager
def world(
    flows: Path | str = "flows",
    *,
    now: datetime = datetime(2026, 3, 2, 9, 0, tzinfo=UTC),
    database_url: str | None = None,
    environment: str = "test",
) -> Generator[World]:
    """A world with the workflows of `flows`, at `now`."""
    with TemporaryDirectory(prefix="notify-test-") as folder, clock.use(frozen := clock.Frozen(now)):
        settings = Settings(
            home=Path(folder),
            database_url=database_url or f"sqlite:///{folder}/notify.db",
            flows=Path(flows).absolute(),
            environment=environment,
        )
        notify = Notify(settings)
        found = registry.load(settings.flows)
        if found.broken:
            raise found.broken[0]
        providers = {channel: MemoryProvider(channel) for channel in _SENT}
        engine = Engine(settings, notify.database, found, runtime.contents(settings, notify.database), providers)
        try:
            yield World(notify, frozen, providers, engine)
        finally:
            notify.close()
