"""Spending people's budgets: in the transaction that decides, so that two that decide at once never spend twice."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from notify.budgets import Spent, longest, room
from notify.channels import catalog
from notify.engine.context import Engine
from notify.engine.system_events import OVERFLOW_DIGEST
from notify.model import Channel, MessageStatus, Subscriber
from notify.planning import Choices, Reason, why_not
from notify.store import people, spending
from notify.store.overflows import BUDGET_EXCEEDED
from notify.workflow import Workflow


@dataclass(frozen=True, slots=True)
class Asking:
    """A message that would go out now."""

    person: Subscriber
    channel: Channel
    priority: int
    #: None where its workflow is not known here.
    workflow: Workflow | None
    #: The name of the event it tells of.
    event: str | None


@dataclass(frozen=True, slots=True)
class Ruling:
    """What becomes of it: it goes out (queued), waits until an instant (held), or is told in a digest (suppressed)."""

    status: MessageStatus
    reason: Reason | None = None
    until: datetime | None = None


GOES = Ruling(MessageStatus.QUEUED)
DIGESTED = Ruling(MessageStatus.SUPPRESSED, Reason.OVER_BUDGET_DIGESTED)


def lock(connection: sa.Connection, engine: Engine, people: Collection[str]) -> None:
    """Keep others from spending these people's budgets; no statement where there are no budgets."""
    if engine.limits.budgets:
        spending.lock(connection, engine.environment, people)


def spend(
    connection: sa.Connection, engine: Engine, askings: Sequence[Asking], now: datetime, *, behind: bool
) -> list[Ruling]:
    """Rule about messages in their order, whose people are locked: a few statements however many there are.

    With `behind` they come after those that were held until now.
    """
    keep = keeping(engine, askings)
    spent = _spent(connection, engine, keep, now, behind) if keep else {}
    told = _told_in_digest(connection, engine, [one.person for one in askings if one.person.id in keep])
    return [_ruling(engine, one, spent.setdefault(one.person.id, []), now, told) for one in askings]


def keeping(engine: Engine, askings: Sequence[Asking]) -> set[str]:
    """The people of whose budgets is asked."""
    return {one.person.id for one in askings if _keeps(engine, one)}


def _keeps(engine: Engine, one: Asking) -> bool:
    return engine.limits.keeps_budget(one.workflow, one.channel, one.priority)


def _told_in_digest(connection: sa.Connection, engine: Engine, some: Sequence[Subscriber]) -> set[str]:
    """Of these people those whom the overflow digest would reach on one of its channels: a statement."""
    teller = engine.registry.workflows.get(OVERFLOW_DIGEST)
    if not engine.limits.digests or teller is None or BUDGET_EXCEEDED not in teller.on or not some:
        return set()
    chosen = people.chosen(connection, engine.environment, [one.id for one in some], teller.id)
    told: set[str] = set()
    for channel in {channel for _, channel in engine.contents.messages(teller.id)}:
        if channel is Channel.IN_APP or channel in engine.providers:
            choices = Choices.of(chosen, channel)
            told |= {one.id for one in some if _reaches(teller, channel, one, choices)}
    return told


def _reaches(teller: Workflow, channel: Channel, person: Subscriber, choices: Choices) -> bool:
    reason = why_not(
        person.id,
        channel,
        addresses=catalog.address(channel, person),
        workflow=teller.preferences,
        critical=teller.critical,
        choices=choices,
    )
    return reason is None


def _spent(
    connection: sa.Connection, engine: Engine, keep: Collection[str], now: datetime, behind: bool
) -> dict[str, list[Spent]]:
    """Another worker's clock may be ahead of ours: what it let out has gone out."""
    since = now - longest(engine.limits.budgets)
    found: dict[str, list[Spent]] = {}
    for row in spending.spent(connection, engine.environment, keep, since, due_by=now if behind else None):
        found.setdefault(row.subscriber, []).append((min(row.at, now), Channel(row.channel)))
    return found


def _ruling(engine: Engine, one: Asking, spent: list[Spent], now: datetime, told: Collection[str]) -> Ruling:
    """What tells of an overflow is never told of in turn: it would have no end."""
    at = room(engine.limits.budgets, one.channel, spent, now) if _keeps(engine, one) else now
    if at > now and one.person.id in told and one.event != BUDGET_EXCEEDED:
        return DIGESTED
    until = engine.limits.opens(one.person, at) if at > now else now
    spent.append((until, one.channel))
    return Ruling(MessageStatus.HELD, Reason.OVER_BUDGET, until) if at > now else GOES
