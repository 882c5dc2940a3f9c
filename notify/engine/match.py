"""Matching: stored events become notifications, or the reason for nobody, a page at a time.

The page is read and its people are resolved first; then one transaction writes everything that follows from it. One
process of an environment matches at a time: it holds a lease, and the transaction checks the lease before it writes.
Whoever has the youngest workflow files takes the lease from others: in a rolling deployment a worker that does not
know a new workflow yet must not say for good that nobody listens.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from notify import clock, intake, matching
from notify.engine import arrivals, authors
from notify.engine.context import Engine
from notify.engine.system_events import announce_cancelled
from notify.errors import NotifyError
from notify.facts import is_bulk, with_history
from notify.matching import Match
from notify.model import Event, EventKind, Priority
from notify.store import alarms, cancellations, events, fanouts, notifications, people, versions
from notify.workflow import Nobody, Recipients, Workflow

log = logging.getLogger("notify.match")
#: Events matched in one transaction.
PAGE = 1000
_LEASE = timedelta(seconds=30)
_NAME = arrivals.MATCH


async def match_page(engine: Engine) -> int:
    """Take in and match one page; returns how many events it took in or matched, whichever is more.

    0 when there is nothing, or another one matches.
    """
    moved, page = await engine.write(_next_page, engine.worker, engine.registry.stamp)
    if not page:
        return moved
    with with_history(engine.history()):
        async with _keeping_the_lease(engine):
            matches = await _matches(engine, page)
    written = await engine.write(_write, engine, page, matches)
    engine.bell.set()
    return max(moved, len(page)) if written else 0


@asynccontextmanager
async def _keeping_the_lease(engine: Engine) -> AsyncGenerator[None]:
    """Hold the lease while authors' resolvers take their time."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(_LEASE.total_seconds() / 3)
            await engine.write(alarms.lease, _NAME, engine.worker, _LEASE, engine.registry.stamp)

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewing.cancel()


def _next_page(connection: sa.Connection, environment: str, worker: str, stamp: int) -> tuple[int, list[Event]]:
    if not alarms.lease(connection, environment, _NAME, worker, _LEASE, stamp):
        return 0, []
    moved = events.take_in(connection, environment, PAGE)
    return moved, events.unmatched(connection, environment, clock.now(), PAGE)


async def _matches(engine: Engine, page: Sequence[Event]) -> list[Match]:
    """Each event with each workflow it starts; the resolvers of all workflows are asked beside each other."""
    matches: list[Match] = []
    by_workflow: dict[str, list[Event]] = {}
    for event in page:
        if event.kind is EventKind.TRIGGER:
            matches.append(_triggered(engine, event))
            continue
        listening = engine.registry.listening(event.name)
        for workflow in listening:
            by_workflow.setdefault(workflow.id, []).append(event)
        if not listening:
            matches.append(Match(event, "", reason="no_workflow"))
    asked = (resolved(engine.registry.workflow(id_), some) for id_, some in by_workflow.items())
    return matches + [match for answers in await asyncio.gather(*asked) for match in answers]


def _triggered(engine: Engine, event: Event) -> Match:
    if event.name not in engine.registry.workflows:
        return Match(event, event.name, reason="unknown_workflow")
    if event.data.get("everyone"):
        return Match(event, event.name, everyone=True)
    return matching.concerning(event, event.name, event.data["to"])


async def resolved(workflow: Workflow, some: Sequence[Event]) -> list[Match]:
    """A resolver that raises fails its own pairs only, with the reason."""
    if not callable(workflow.to):
        return [_match(event, workflow, workflow.to) for event in some]
    if is_bulk(workflow.to):
        try:
            answers = list(zip(some, await authors.call(workflow.to, list(some)), strict=True))
        except Exception as error:
            return [_failed(event, workflow, error) for event in some]
        return [_match(event, workflow, answer) for event, answer in answers]
    return [await _resolve_one(workflow, event) for event in some]


async def _resolve_one(workflow: Workflow, event: Event) -> Match:
    assert callable(workflow.to)
    try:
        return _match(event, workflow, await authors.call(workflow.to, event))
    except Exception as error:
        return _failed(event, workflow, error)


def _failed(event: Event, workflow: Workflow, error: Exception) -> Match:
    log.warning("%s could not say whom %s concerns", workflow.id, event.uid, exc_info=error)
    return Match(event, workflow.id, reason="resolver_failed", detail=f"{type(error).__name__}: {error}")


def _match(event: Event, workflow: Workflow, recipients: Recipients) -> Match:
    if isinstance(recipients, Nobody):
        return Match(event, workflow.id, reason=recipients.reason)
    try:
        return matching.concerning(event, workflow.id, intake.parse_recipients(recipients, "to"))
    except NotifyError as error:
        return Match(event, workflow.id, reason="invalid_recipient", detail=str(error))


# --- writing ------------------------------------------------------------------------------------


@dataclass
class _Page:
    """Everything that follows from a page, gathered for a few statements."""

    environment: str
    now: datetime
    people: dict[str, dict[str, Any]] = field(default_factory=lambda: dict[str, dict[str, Any]]())
    rows: list[dict[str, Any]] = field(default_factory=lambda: list[dict[str, Any]]())
    omissions: list[dict[str, Any]] = field(default_factory=lambda: list[dict[str, Any]]())

    def add(self, match: Match, workflow: Workflow | None, version: str | None) -> None:
        if workflow is None or match.reason is not None:
            self.omissions.append(self.omission(match))
            return
        if match.everyone:
            return
        for person in match.people:
            self.people.setdefault(person["id"], {}).update(person)
        self.rows += matching.notification_rows(
            self.environment,
            match,
            priority=_priority(match.event, workflow),
            version=version,
            cancel_key=workflow.cancel_key(match.event),
            run_key=workflow.run_key(matching.payload_of(match.event)),
            now=self.now,
        )

    def omission(self, match: Match) -> dict[str, Any]:
        return {
            "event": match.event.uid,
            "workflow": match.workflow,
            "reason": match.reason,
            "detail": match.detail,
            "created_at": self.now,
        }


def _priority(event: Event, workflow: Workflow) -> int:
    asked = event.data.get("priority") if event.kind is EventKind.TRIGGER else None
    return Priority.__members__.get(str(asked).upper(), workflow.priority)


def _write(
    connection: sa.Connection, environment: str, engine: Engine, batch: Sequence[Event], matches: Sequence[Match]
) -> bool:
    if not alarms.holds(connection, environment, _NAME, engine.worker):
        return False
    kept = events.still_unmatched(connection, environment, [event.uid for event in batch])
    batch = [event for event in batch if event.uid in kept]
    write_page(connection, environment, engine, batch, [one for one in matches if one.event.uid in kept])
    return True


def write_page(
    connection: sa.Connection, environment: str, engine: Engine, batch: Sequence[Event], matches: Sequence[Match]
) -> None:
    """Write everything that follows from these (stored) events: people, notifications, omissions, cancellations."""
    now = clock.now()
    page = _Page(environment, now)
    current = {id_: engine.contents.version(workflow) for id_, workflow in engine.registry.workflows.items()}
    for match in matches:
        page.add(match, engine.registry.workflows.get(match.workflow), current.get(match.workflow))
    _save_people(connection, page)
    _fan_out(connection, engine, page, [match for match in matches if match.everyone], current)
    used = {row["workflow"] for row in page.rows} | {match.workflow for match in matches if match.everyone}
    _keep_versions(connection, engine, used, current, now)
    notifications.create(connection, environment, page.rows)
    events.omit(connection, environment, page.omissions)
    _cancel(connection, engine, batch, now)
    arrivals.meet(connection, environment, batch, now)
    events.mark_matched(connection, environment, [event.uid for event in batch], now)


def _save_people(connection: sa.Connection, page: _Page) -> None:
    """Unknown people are created; those given with fields are updated."""
    described = [person for person in page.people.values() if len(person) > 1]
    people.save(connection, page.environment, described, page.now)
    bare = [id_ for id_, person in page.people.items() if len(person) == 1]
    people.ensure(connection, page.environment, bare, page.now)


def _fan_out(
    connection: sa.Connection, engine: Engine, page: _Page, broadcasts: Sequence[Match], current: Mapping[str, str]
) -> None:
    """A broadcast becomes stretches of people to reach; where there is nobody, that is the reason."""
    for match in broadcasts:
        workflow = engine.registry.workflow(match.workflow)
        priority = _priority(match.event, workflow)
        version = current[workflow.id]
        if not fanouts.plan(connection, page.environment, match.event, workflow.id, priority=priority, version=version):
            page.omissions.append(page.omission(replace(match, reason="no_recipient")))


def _keep_versions(
    connection: sa.Connection, engine: Engine, used: set[str], current: Mapping[str, str], now: datetime
) -> None:
    rows = [_version(engine, engine.registry.workflow(id_), current[id_]) | {"created_at": now} for id_ in sorted(used)]
    versions.keep(connection, engine.environment, rows)


def _version(engine: Engine, workflow: Workflow, version: str) -> dict[str, Any]:
    what = {"named": workflow.version, "steps": workflow.shape.as_json()}
    return {"workflow": workflow.id, "version": version, "templates": engine.contents.texts(workflow.id)} | what


def _cancel(connection: sa.Connection, engine: Engine, batch: Sequence[Event], now: datetime) -> None:
    """Events of the page end what waits for them, the page's own notifications among it."""
    for workflow in engine.registry.workflows.values():
        names = {rule.event for rule in workflow.cancel_on}
        news = [event for event in batch if event.name in names]
        if news:
            _cancel_for(connection, engine, workflow, news, now)


def _cancel_for(
    connection: sa.Connection, engine: Engine, workflow: Workflow, news: Sequence[Event], now: datetime
) -> None:
    asked = [rule.key_of(event) for event in news for rule in workflow.cancel_on if rule.event == event.name]
    keys = [key for key in asked if key is not None]
    waiting = cancellations.candidates(connection, engine.environment, workflow.id, keys)
    known = events.load(connection, engine.environment, [one.event for one in waiting])
    ended = matching.cancelled_by(news, workflow.cancel_on, waiting, known)
    cancellations.by_event(connection, engine.environment, ended, now)
    announce_cancelled(connection, engine.environment, engine.registry, list(ended), now)
