"""A world for tests of the engine: workflows as source text, providers that keep, a clock that stands still."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from notify import clock, registry
from notify.channels.memory import MemoryProvider
from notify.client import Notify
from notify.engine import batch, by_hand, local, match, runtime
from notify.engine.catching_up import caught_up
from notify.engine.context import Engine
from notify.engine.work import Quietly, Stage, Tally
from notify.model import Channel, Receipt
from notify.settings import Settings
from notify.store import alarms, schema
from notify.store.database import Database
from notify.store.tables import messages, notifications

SHIPPED = Path(__file__).parents[1] / "flows"
#: A Thursday, noon in UTC.
START = datetime(2026, 1, 15, 12, tzinfo=UTC)

_HEAD = """\
from datetime import UTC, datetime, time, timedelta
from typing import Any

from pydantic import BaseModel

from notify.errors import StepFailed
from notify.model import Event
from notify.workflow import CancelOn, Concurrency, Nobody, Notification, bulk, event, workflow

calls: list[Any] = []
"""
#: How many lines a workflow's file has before its source.
HEAD = _HEAD.count("\n")
_TEMPLATE = "{% block subject %}{{ workflow }}{% endblock %}\n{% block body %}hello{% endblock %}\n"


def migrated(request: pytest.FixtureRequest, kind: str) -> str:
    """A fresh database of this kind (`sqlite`, `postgresql`) that has the schema already: a copy, made once."""
    if kind == "sqlite":
        url: str = request.getfixturevalue("sqlite_url")
        made = request.getfixturevalue("tmp_path_factory").getbasetemp() / "migrated.db"
        if not made.exists():
            _migrate(f"sqlite:///{made}")
        shutil.copy(made, sa.make_url(url).database or "")
        return url
    template = request.getfixturevalue("postgres_server").template("migrated", _migrate)
    return request.getfixturevalue("make_database")(template)


def _migrate(url: str) -> None:
    database = Database(url)
    schema.upgrade(database)
    database.close()


#: For tables of cases that no database decides: the fixture `world` is of one kind only.
on_one_database = pytest.mark.parametrize("world", ["sqlite"], indirect=True)


#: What was compiled, and by whom: a statement belongs to the dialect that compiled it.
_COMPILED: dict[Any, Any] = {}
_DIALECTS: dict[str, sa.Dialect] = {}


class World:
    """One environment of one database, and a process that works in it. The clock is in force inside `with`."""

    def __init__(
        self,
        folder: Path,
        url: str,
        *,
        flows: Path | None = None,
        at: datetime = START,
        environment: str = "default",
    ) -> None:
        self.flows = flows or folder / "flows"
        (self.flows / "templates").mkdir(parents=True, exist_ok=True)
        self.settings = Settings(home=folder, database_url=url, flows=self.flows, environment=environment)
        self.clock = clock.Frozen(at)
        self.providers = {channel: MemoryProvider(channel) for channel in (Channel.EMAIL, Channel.PUSH, Channel.SMS)}
        self._open = ExitStack()
        self.notify = self._open.enter_context(Notify(self.settings, self._database()))
        self.engine = self._engine(self.notify.database)
        self.notify.__dict__["registry"] = self.engine.registry

    def __enter__(self) -> World:
        self._open.enter_context(clock.use(self.clock))
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _database(self) -> Database:
        """Fast because it is not durable, and because a statement is compiled once for all worlds."""
        database = Database(self.settings.database_url)
        for engine in database.engines:
            engine.dialect = _DIALECTS.setdefault(engine.name, engine.dialect)
            engine.update_execution_options(compiled_cache=_COMPILED)
        for engine in database.engines if database.is_sqlite else ():
            event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))
        self._open.callback(database.close)
        return database

    def _engine(self, database: Database, known: registry.Registry | None = None) -> Engine:
        contents = runtime.contents(self.settings, database)
        return Engine(self.settings, database, known or registry.load(self.flows), contents, self.providers)

    # --- what there is ------------------------------------------------------------------------------

    def workflow(self, source: str, *steps: str, file: str = "flow") -> None:
        """Save (or change) a workflow file; `steps` such as `hello/note.email` get a template each."""
        self._save(source, file)
        for step in steps:
            self._save_template(step, _TEMPLATE)
        self._reload()

    def mistaken(self, source: str, file: str = "flow") -> str:
        """Save a workflow file in which something is wrong: what is. The other files are at work."""
        self._save(source, file)
        found = registry.load(self.flows)
        self.engine.reloaded(found, self.engine.contents)
        [error] = found.broken
        return str(error)

    def _save(self, source: str, file: str) -> None:
        (self.flows / f"{file}.py").write_text(_HEAD + dedent(source))
        # Python takes a file of the same second and size for the one that it has compiled.
        shutil.rmtree(self.flows / "__pycache__", ignore_errors=True)

    def template(self, step: str, text: str) -> None:
        """Save (or change) a template."""
        self._save_template(step, text)
        self._reload()

    def _save_template(self, step: str, text: str) -> None:
        path = self.flows / "templates" / f"{step}.j2"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def _reload(self) -> None:
        found = registry.load(self.flows)
        assert not found.broken, found.broken
        self.engine.reloaded(found, runtime.contents(self.settings, self.engine.database))
        self.notify.__dict__["registry"] = found  # reading the files again would make other modules of them

    def module(self, file: str = "flow") -> ModuleType:
        """The module of a workflow file, as it was read last."""
        return sys.modules[file if file.startswith("_") else f"notify_flows.{file}"]

    def people(self, *ids: str, **fields: Any) -> None:
        """Save people who can be reached on every channel."""
        push = {"providerId": "fcm", "credentials": {"deviceTokens": ["token"]}}
        reached: dict[str, Any] = {"phone": "+390612345", "channels": [push]}
        self.notify.subscribers.save(
            {"subscriberId": id_, "email": f"{id_}@example.com", **reached, **fields} for id_ in ids
        )

    # --- what happens -------------------------------------------------------------------------------

    def emit(self, name: str, data: Any = None, **options: Any) -> Receipt:
        """Say that something happened."""
        return self.notify.emit(name, data or {}, **options)

    def trigger(self, workflow: str, to: Any, payload: Any = None, **options: Any) -> Receipt:
        """Ask for a workflow."""
        return self.notify.trigger(workflow, to=to, payload=payload, **options)

    def settle(self, stage: Stage | None = None) -> Tally:
        """Do all that can be done at this instant."""
        return asyncio.run(local.settle(self.engine, stage))

    def advance(self, **length: float) -> Tally:
        """Move the clock, then settle."""
        self.clock.advance(timedelta(**length))
        return self.settle()

    def at(self, instant: datetime) -> Tally:
        """Set the clock, then settle."""
        self.clock.at = instant.astimezone(UTC)
        return self.settle()

    def tick(self, workflow: str, since: datetime | None = None, until: datetime | None = None) -> int:
        """What the cron deployment of a digest does at this instant; returns how many windows it closed."""
        return asyncio.run(self.ticking(self.engine, workflow, since, until))

    async def ticking(
        self, engine: Engine, workflow: str, since: datetime | None = None, until: datetime | None = None
    ) -> int:
        """Like `tick`, with an engine of the caller's choice."""
        known, closed = engine.registry.workflow(workflow), list[int]()

        async def drive(scope: batch.Scope) -> None:
            while await batch.work(engine, known, Quietly(), Tally(), scope):
                pass

        async def match_and_drive() -> None:
            while await match.match_page(engine):
                pass
            await drive(batch.Scope())

        await caught_up(engine, workflow, match_and_drive)
        await drive(batch.Scope(before=by_hand.close_calendar(engine, known, since, until, closed)))
        return sum(closed)

    # --- processes ----------------------------------------------------------------------------------

    def another(self) -> Engine:
        """A second process at work on the same database."""
        return self._engine(self._database(), self.engine.registry)

    def hand_over(self, engine: Engine) -> None:
        """Let `engine` do what `settle` does from now on: the one before it stopped."""
        with self.engine.database.write() as connection:
            alarms.give_up(connection, self.engine.environment, self.engine.worker)
        self.engine = engine

    def restart(self) -> None:
        """End the process and start another."""
        self.hand_over(self.another())

    # --- what became of it --------------------------------------------------------------------------

    def rows(self, query: sa.Select[Any]) -> list[Any]:
        """The rows of a query."""
        with self.notify.database.read() as connection:
            return list(connection.execute(query))

    def notifications(self, workflow: str | None = None) -> list[Any]:
        """This environment's notifications, the oldest first."""
        n = notifications.c
        query = sa.select(notifications).where(n.environment == self.settings.environment)
        query = query.where(n.workflow == workflow) if workflow else query
        return self.rows(query.order_by(n.ts, n.workflow, n.subscriber, n.id))

    def statuses(self, workflow: str | None = None) -> list[tuple[str, str | None]]:
        """Status and reason of each notification."""
        return [(row.status, row.reason) for row in self.notifications(workflow)]

    def messages(self) -> list[Any]:
        """This environment's messages."""
        m = messages.c
        query = sa.select(messages).where(m.environment == self.settings.environment)
        return self.rows(query.order_by(m.created_at, m.workflow, m.subscriber, m.channel))

    def told(self) -> Counter[tuple[str, str]]:
        """How many messages of each workflow came to each status."""
        return Counter((row.workflow, row.status) for row in self.messages())
