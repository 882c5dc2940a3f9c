"""Whether there is anything to do, asked in one statement: probes of indexes, however many rows there are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from notify.store import alarms, backlog, events, fanouts, messages, slots, windows
from notify.store.slots import Limited
from notify.store.types import Instant


@dataclass(frozen=True, slots=True)
class Found:
    """What could be done now: by workflow, and for no workflow in particular."""

    #: Workflows with a notification ready for which there is room, a sleeper or window past its end, or a broadcast
    #: that goes on.
    busy: frozenset[str]
    #: Whether events wait to be taken in or matched, messages to be delivered, alarms to get their flow run.
    unmatched: bool
    undelivered: bool
    unarmed: bool


def look(
    connection: sa.Connection,
    environment: str,
    known: tuple[str, ...],
    now: datetime,
    limits: tuple[tuple[str, Limited], ...] = (),
) -> Found:
    """What there is to do of the workflows `known`, and which others have broadcasts that go on.

    `limits` says of which workflows only so many notifications may run at once.
    """
    rows = connection.execute(_query(known, limits), {"environment": environment, "now": now}).all()
    general = {row.what for row in rows if row.workflow is None}
    busy = frozenset(row.workflow for row in rows if row.workflow is not None)
    return Found(busy, "unmatched" in general, "undelivered" in general, "unarmed" in general)


@lru_cache
def _query(known: tuple[str, ...], limits: tuple[tuple[str, Limited], ...]) -> sa.CompoundSelect[Any]:
    environment = sa.bindparam("environment", type_=sa.String)
    now = sa.bindparam("now", type_=Instant)
    limited = dict(limits)
    workflows = [
        *(_if_busy(environment, workflow, limited.get(workflow), now) for workflow in known),
        fanouts.with_broadcasts(environment),
    ]
    general = {
        "unmatched": events.is_pending(environment, now),
        "undelivered": messages.is_due(environment, now),
        "unarmed": sa.or_(sa.false(), *(alarms.nearest_unarmed(environment, workflow).exists() for workflow in known)),
    }
    named = [
        sa.select(sa.literal("busy").label("what"), some.subquery().c.workflow.label("workflow")) for some in workflows
    ]
    nobody = sa.cast(sa.null(), sa.Text)
    others = [sa.select(sa.literal(what), nobody).where(holds) for what, holds in general.items()]
    return sa.union_all(*named, *others)


def _if_busy(environment: Any, workflow: str, limited: Limited | None, now: Any) -> sa.Select[Any]:
    """The workflow, if one of its notifications can be claimed, or one of its sleepers or windows is past its end."""
    can_go_on = slots.has_room(environment, workflow, limited) if limited else backlog.is_ready(environment, workflow)
    due = (is_due(environment, workflow, now) for is_due in (backlog.is_due, windows.is_due))
    return sa.select(sa.literal(workflow).label("workflow")).where(sa.or_(can_go_on, *due))
