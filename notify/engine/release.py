"""Letting go what was held: asked anew at that instant, for much may have changed, a page in a transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from notify import clock
from notify.channels import catalog
from notify.engine import spending
from notify.engine.context import Engine
from notify.engine.spending import Asking, Ruling
from notify.engine.system_events import budget_exceeded
from notify.model import Channel, Event, EventKind, MessageStatus, Subscriber
from notify.planning import Choices, Reason, why_not
from notify.store import events, held, people
from notify.store.messages import Queued

#: Messages let go in one transaction.
PAGE = 500


def in_hours(
    connection: sa.Connection, engine: Engine, token: str, taken: Sequence[Queued], now: datetime
) -> list[Queued]:
    """Of claimed messages those that may go at this hour; what was begun late, or is tried again, keeps hours too."""
    limits, workflows = engine.limits, engine.registry.workflows
    keeping = [one for one in taken if limits.keeps_hours(workflows.get(one.workflow), one.channel, one.priority)]
    known = people.load(connection, engine.environment, sorted({one.subscriber for one in keeping})) if keeping else {}
    opening = {one.id: limits.opens(known.get(one.subscriber) or Subscriber(one.subscriber), now) for one in keeping}
    rows = [
        {"id": id_, "reason": Reason.QUIET_HOURS, "next_attempt_at": opens}
        for id_, opens in opening.items()
        if opens > now
    ]
    held.hold(connection, engine.environment, token, rows)
    late = {row["id"] for row in rows}
    return [one for one in taken if one.id not in late]


async def let_go(engine: Engine, limit: int = PAGE) -> int:
    """Rule about messages whose time has come; those that may go are queued and due. Returns how many were ruled about.

    0 when there is nothing, or others have it.
    """
    due = await engine.read(held.due, clock.now(), limit)
    return await engine.write(_let_go, engine, due, limit) if due else 0


def _let_go(connection: sa.Connection, environment: str, engine: Engine, due: Sequence[Any], limit: int) -> int:
    """Where budgets are to be kept people are locked before their messages, as by whoever decides."""
    spending.lock(connection, engine, {row.subscriber for row in due})
    now = clock.now()
    rows = held.take(connection, environment, now, limit, [row.id for row in due] if engine.limits.budgets else None)
    facts = _Facts.read(connection, engine, rows)
    rulings = _rulings(connection, engine, facts, rows, now)
    held.settle(connection, environment, [_row(row, rulings[row.id], facts.addresses(row), now) for row in rows])
    digested = [row for row in rows if rulings[row.id].status is MessageStatus.SUPPRESSED]
    if digested:
        events.accept(connection, environment, [_exceeded(row, now) for row in digested])
    return len(rows)


def _row(row: Any, ruling: Ruling, addresses: Sequence[str], now: datetime) -> dict[str, Any]:
    released = now if ruling.status is MessageStatus.QUEUED else None
    return {
        "id": row.id,
        "status": ruling.status,
        "reason": ruling.reason,
        "address": "\n".join(addresses) or None,
        "next_attempt_at": released or ruling.until,
        "released_at": released,
    }


def _exceeded(row: Any, now: datetime) -> Event:
    return budget_exceeded(row.id, row.workflow, row.subscriber, Channel(row.channel), row.title, now)


def _rulings(
    connection: sa.Connection, engine: Engine, facts: _Facts, rows: Sequence[Any], now: datetime
) -> dict[str, Ruling]:
    """What becomes of each, by message: whoever may be told now asks for room in the person's budgets."""
    asking: dict[str, Asking] = {}
    rulings: dict[str, Ruling] = {}
    for row in rows:
        ruling = facts.ruling(row, now)
        if ruling is None:
            asking[row.id] = facts.asking(row)
        else:
            rulings[row.id] = ruling
    granted = spending.spend(connection, engine, list(asking.values()), now, behind=False)
    return rulings | dict(zip(asking, granted, strict=True))


@dataclass(frozen=True)
class _Facts:
    """What is known now of the people of a page."""

    engine: Engine
    known: Mapping[str, Subscriber]
    #: By workflow and channel.
    choices: Mapping[tuple[str, str], Choices]

    @classmethod
    def read(cls, connection: sa.Connection, engine: Engine, rows: Sequence[Any]) -> _Facts:
        """Two statements, and one more for each further workflow."""
        environment = engine.environment
        ids: dict[str, list[str]] = {}
        for row in rows:
            ids.setdefault(row.workflow, []).append(row.subscriber)
        chosen = {workflow: people.chosen(connection, environment, some, workflow) for workflow, some in ids.items()}
        places = {(row.workflow, row.channel) for row in rows}
        choices = {place: Choices.of(chosen[place[0]], Channel(place[1])) for place in places}
        return cls(engine, people.load(connection, environment, [row.subscriber for row in rows]), choices)

    def ruling(self, row: Any, now: datetime) -> Ruling | None:
        """Why it does not go now, whatever the budgets; None where nothing but they may keep it."""
        reason = self._why_not(row)
        if reason is not None:
            return Ruling(MessageStatus.SKIPPED, reason)
        limits, one = self.engine.limits, self.asking(row)
        waits = limits.keeps_hours(one.workflow, one.channel, one.priority)
        opening = limits.opens(one.person, now) if waits else now
        return Ruling(MessageStatus.HELD, Reason.QUIET_HOURS, opening) if opening > now else None

    def asking(self, row: Any) -> Asking:
        """The message as it asks for room."""
        workflow = self.engine.registry.workflows.get(row.workflow)
        return Asking(self._person(row), Channel(row.channel), row.priority, workflow, row.name)

    def addresses(self, row: Any) -> Sequence[str]:
        """Where it reaches the person now."""
        return catalog.address(Channel(row.channel), self._person(row))

    def _person(self, row: Any) -> Subscriber:
        return self.known.get(row.subscriber) or Subscriber(row.subscriber)

    def _why_not(self, row: Any) -> Reason | None:
        workflow, channel = self.engine.registry.workflows.get(row.workflow), Channel(row.channel)
        return why_not(
            row.subscriber,
            channel,
            addresses=self.addresses(row),
            workflow=workflow.preferences if workflow else {},
            critical=workflow is not None and workflow.critical,
            choices=self.choices[row.workflow, row.channel],
            asked_for=row.data.get("channels") if row.kind == EventKind.TRIGGER else None,
        )
