"""What an application holds: emit, trigger, send, cancel, and reading back. It never loads Prefect to emit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property, wraps
from importlib import import_module
from itertools import islice
from typing import Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa

from notify import clock, intake, registry
from notify.cancelling import Cancelled
from notify.desk import Inbox, Preferences, Reports, Subscribers
from notify.engine.system_events import announce_cancelled
from notify.errors import InvalidInput
from notify.model import Event, Receipt
from notify.outcomes import Outcomes, outcomes
from notify.preview import preview
from notify.settings import Settings
from notify.store import cancellations, events, schema
from notify.store.database import Database
from notify.store.foreign import Outboxes

P = ParamSpec("P")
T = TypeVar("T")
#: Events written in one transaction of our own.
PAGE = 1000


class Notify:
    """The synchronous face; `AsyncNotify` has the same methods, awaited.

    Emitting and triggering write rows and return; workers do the rest. Input is checked before anything is written.
    """

    def __init__(self, settings: Settings, database: Database | None = None) -> None:
        self.settings = settings
        self.database = database or Database(settings.database_url)
        schema.upgrade(self.database)
        self._outboxes = Outboxes(self.database)

    @classmethod
    def from_env(cls) -> Notify:
        """As `NOTIFY_*` in the environment says."""
        return cls(Settings.from_env())

    def close(self) -> None:
        """Give the database's connections back."""
        self.database.close()

    def __enter__(self) -> Notify:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def registry(self) -> registry.Registry:
        """The workflows and the catalogue of events, read from their files."""
        return registry.load(self.settings.flows)

    # --- saying what happened -------------------------------------------------------------------

    def emit(
        self,
        name: str,
        data: Any,
        *,
        id: str | None = None,
        ts: datetime | int | None = None,
        v: str | None = None,
        user: Mapping[str, Any] | None = None,
        connection: Any = None,
    ) -> Receipt:
        """Say that something happened; every workflow that listens starts.

        An `id` seen in the last 24 h under this name starts nothing. A `ts` ahead (aware, or Unix ms) waits for it.
        With `connection=` the event commits or rolls back with the caller's rows, and the receipt has no verdict yet.
        """
        event = intake.make_event(name, data, self.registry.events, clock.now(), id=id, ts=ts, v=v, user=user)
        return self._put([event], connection)[0]

    def emit_many(self, batch: Iterable[Mapping[str, Any]], *, connection: Any = None) -> list[Receipt]:
        """Like `emit` for objects of `name`, `data`, `id`, `ts`, `v`, `user`: each page is one transaction."""
        receipts: list[Receipt] = []
        for page in _pages(batch):
            parsed = [self._parse(raw, len(receipts) + place) for place, raw in enumerate(page)]
            receipts += self._put(parsed, connection)
        return receipts

    def _parse(self, raw: Mapping[str, Any], place: int) -> Event:
        try:
            return intake.parse_event(raw, self.registry.events, clock.now())
        except InvalidInput as error:
            error.facts["field"] = f"events[{place}].{error.facts['field']}"
            raise

    def accept(self, batch: Sequence[Event]) -> list[Receipt]:
        """Store events that were parsed already, in one transaction, each with its verdict."""
        return self._put(batch, None)

    def _put(self, batch: Sequence[Event], connection: Any) -> list[Receipt]:
        environment = self.settings.environment
        if connection is not None:
            return self._outboxes.put(connection, environment, batch)
        return events.accept_alone(self.database, environment, batch)

    # --- asking for a workflow ------------------------------------------------------------------

    def trigger(
        self,
        workflow: str,
        *,
        to: Any,
        payload: Any = None,
        transaction_id: str | None = None,
        actor: str | None = None,
        tenant: str | None = None,
        channels: Sequence[str] | None = None,
        priority: str | None = None,
        at: datetime | int | None = None,
        connection: Any = None,
    ) -> Receipt:
        """Run one workflow for `to`: ids, or objects of a subscriberId and fields to update, or a list of both.

        The payload is validated by the workflow's model. A transaction id used before decides nothing again.
        """
        given = {"actor": actor, "tenant": tenant, "channels": channels, "priority": priority, "at": at}
        event = self._asked(workflow, to=to, payload=payload, transaction_id=transaction_id, **given)
        return self._put([event], connection)[0]

    def broadcast(
        self,
        workflow: str,
        *,
        payload: Any = None,
        transaction_id: str | None = None,
        actor: str | None = None,
        tenant: str | None = None,
        channels: Sequence[str] | None = None,
        priority: str | None = None,
        at: datetime | int | None = None,
        connection: Any = None,
    ) -> Receipt:
        """Run one workflow for everybody who is a subscriber now; otherwise like `trigger`.

        Workers reach people page by page from a stored cursor; `cancel` with the transaction id stops where it is.
        """
        given = {"actor": actor, "tenant": tenant, "channels": channels, "priority": priority, "at": at}
        given |= {"payload": payload, "transaction_id": transaction_id}
        return self._put([self._asked(workflow, to=(), everyone=True, **given)], connection)[0]

    def _asked(self, workflow: str, *, to: Any, payload: Any = None, **given: Any) -> Event:
        known, environment = self.registry.workflow(workflow), self.settings.environment
        model = known.payload
        return intake.make_trigger(environment, known.id, clock.now(), to=to, payload=payload, model=model, **given)

    def trigger_many(self, batch: Iterable[Mapping[str, Any]], *, connection: Any = None) -> list[Receipt]:
        """Like `trigger` for objects of its arguments, `workflow` among them."""
        if connection is None:
            return [self.trigger(**dict(one)) for one in batch]
        pages = ([self._asked(**dict(one)) for one in page] for page in _pages(batch))
        return [receipt for page in pages for receipt in self._put(page, connection)]

    def send(
        self,
        user_id: str,
        template: str,
        data: Any = None,
        channels: Sequence[str] | None = None,
        priority: str = "normal",
    ) -> list[dict[str, Any]]:
        """Send one person the messages of a workflow now; answers `{channel, status, id, reason}` a channel.

        `channels` None follows what the person chose; a list stands in for it.
        """
        workflow = self.registry.workflow(template.replace("_", "-"))
        receipt = self.trigger(workflow.id, to=user_id, payload=data, channels=channels, priority=priority)
        return preview(self.settings, self.database, workflow, receipt.uid, user_id, channels)

    def submit(
        self,
        workflow: str,
        *,
        to: Any = None,
        payload: Any = None,
        at: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> Any:
        """Run one workflow through the Prefect API, as a flow run that does this very work.

        Answers a `Submitted` of `id` (the transaction id), `flow_run_id`, `url` and `wait()`.
        """
        known = self.registry.workflow(workflow)
        checked = intake.validated(known.payload, intake.plain({} if payload is None else payload), "payload")
        submission = import_module("notify.engine.submission")
        return submission.submit(
            self.settings, self.database, known.id, to=to, payload=checked, at=at, idempotency_key=idempotency_key
        )

    def cancel(self, transaction_id: str, reason: str = "cancelled") -> Cancelled:
        """Cancel what one trigger or event started and has not ended: waits, events in open digests, the event itself
        where it lies ahead, messages that wait to be tried again. Answers how many, as a number and in words.
        """
        found = self.database.transact(lambda own: self._cancel(own, transaction_id, reason))
        waiting = len(found.notifications) - found.collecting
        return Cancelled.of(waiting=waiting, collecting=found.collecting, messages=found.messages, ahead=found.events)

    def _cancel(self, own: sa.Connection, transaction_id: str, reason: str) -> cancellations.Cancelled:
        environment, now = self.settings.environment, clock.now()
        while events.take_in(own, environment, PAGE):
            continue
        found = cancellations.by_transaction(own, environment, transaction_id, reason, now)
        announce_cancelled(own, environment, self.registry, found.notifications, now)
        return found

    # --- reading back ---------------------------------------------------------------------------

    @property
    def subscribers(self) -> Subscribers:
        """The people of this environment."""
        return Subscribers(self.database, self.settings.environment)

    @property
    def preferences(self) -> Preferences:
        """What people chose."""
        return Preferences(self.database, self.settings.environment)

    def inbox(self, subscriber: str) -> Inbox:
        """One person's in-app messages."""
        return Inbox(self.database, self.settings.environment, subscriber)

    @property
    def reports(self) -> Reports:
        """The notification log as frames."""
        return Reports(self.database, self.settings.environment)

    def outcomes(self, transaction_id: str) -> Outcomes:
        """What became of one trigger or event so far, per person and channel."""
        with self.database.write() as connection:
            while events.take_in(connection, self.settings.environment, PAGE):
                continue
            return outcomes(connection, self.settings.environment, transaction_id)


def _pages(batch: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(batch)
    while page := list(islice(iterator, PAGE)):
        yield page


def _awaited(
    method: Callable[Concatenate[Notify, P], T],
) -> Callable[Concatenate[AsyncNotify, P], Coroutine[Any, Any, T]]:
    """The method, run in a thread."""

    @wraps(method)
    async def call(self: AsyncNotify, *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(method, self.sync, *args, **kwargs)

    return call


class AsyncNotify:
    """`Notify` for asyncio: the same methods, awaited, and `call` for its inbox, people, choices and reports."""

    def __init__(self, settings: Settings, database: Database | None = None) -> None:
        self.sync = Notify(settings, database)

    @classmethod
    def from_env(cls) -> AsyncNotify:
        """As `NOTIFY_*` in the environment says."""
        return cls(Settings.from_env())

    async def call(self, work: Callable[[Notify], T]) -> T:
        """Whatever else `Notify` offers, in a thread: `await notify.call(lambda n: n.inbox("ana").list())`."""
        return await asyncio.to_thread(work, self.sync)

    emit = _awaited(Notify.emit)
    accept = _awaited(Notify.accept)
    emit_many = _awaited(Notify.emit_many)
    trigger = _awaited(Notify.trigger)
    broadcast = _awaited(Notify.broadcast)
    trigger_many = _awaited(Notify.trigger_many)
    send = _awaited(Notify.send)
    submit = _awaited(Notify.submit)
    cancel = _awaited(Notify.cancel)
    outcomes = _awaited(Notify.outcomes)
    close = _awaited(Notify.close)

    async def __aenter__(self) -> AsyncNotify:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
