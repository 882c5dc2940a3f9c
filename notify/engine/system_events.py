"""What the system says about its own work, as ordinary events that workflows may listen to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from notify.engine.driver import Ending
from notify.model import Channel, Event, EventKind, JsonObject, NotificationStatus, derive
from notify.registry import Registry
from notify.store import events, withdrawals
from notify.store.overflows import BUDGET_EXCEEDED, exceeded

FAILED = "notify/workflow.failed"
FINISHED = "notify/workflow.finished"
CANCELLED = "notify/workflow.cancelled"
#: The workflow that tells people of `notify/budget.exceeded`, by its id: whoever else listens tells them nothing.
OVERFLOW_DIGEST = "overflow-digest"
_PREFIX = "notify/workflow."
#: Characters of a message's title that an event of ours has at most.
TITLE = 200


def is_system(event: Event) -> bool:
    """Whether the event came from the system: its listeners' own failures say nothing, so that none loops."""
    return event.kind is EventKind.EVENT and event.name.startswith(_PREFIX)


def system_events(registry: Registry, endings: Sequence[Ending], now: datetime) -> list[Event]:
    """`failed` for each failure; `finished` for each ending too, where a workflow listens to it."""
    said: list[Event] = []
    heard = bool(registry.listening(FINISHED))
    for ending in endings:
        if is_system(ending.claimed.event):
            continue
        if ending.status is NotificationStatus.FAILED:
            said.append(_of(FAILED, ending, now))
        if heard:
            said.append(_of(FINISHED, ending, now))
    return said


def announce_cancelled(
    connection: sa.Connection, environment: str, registry: Registry, ids: Sequence[str], now: datetime
) -> None:
    """`cancelled` (and `finished`) for those of `ids` that were cancelled, where a workflow listens."""
    names = [name for name in (CANCELLED, FINISHED) if registry.listening(name)]
    if not names or not ids:
        return
    rows = withdrawals.cancelled(connection, environment, ids)
    known = events.load(connection, environment, [row.event for row in rows])
    told = [row for row in rows if not is_system(known[row.event])]
    said = [
        _event(name, row.id, row.workflow, row.subscriber, NotificationStatus.CANCELLED, None, known[row.event], now)
        for row in told
        for name in names
    ]
    events.accept(connection, environment, said)


def _of(name: str, ending: Ending, now: datetime) -> Event:
    claimed = ending.claimed
    return _event(
        name, claimed.id, claimed.workflow, claimed.subscriber, ending.status, ending.error, claimed.event, now
    )


def _event(
    name: str,
    id: str,
    workflow: str,
    subscriber: str,
    status: NotificationStatus,
    error: JsonObject | None,
    event: Event,
    now: datetime,
) -> Event:
    """One a notification: `run_id` is its id, so it cannot be said twice."""
    uid = derive("system", name, id)
    data = {
        "function_id": workflow,
        "run_id": id,
        "status": status,
        "error": {part: error.get(part) for part in ("name", "message", "stack")} if error else None,
        "subscriber": subscriber,
        "event": {"id": event.id or event.uid, "name": event.name, "data": event.data},
    }
    return Event(uid, EventKind.EVENT, name, data, ts=now, received_at=now, id=uid, subject=workflow)


def budget_exceeded(
    message: str, workflow: str, subscriber: str, channel: Channel, title: str | None, now: datetime
) -> Event:
    """One a message that goes out no more; `subject` is its subject line, or how its text begins."""
    uid = exceeded(message)
    line = (title or "").strip().partition("\n")[0]
    data = {
        "subscriber": subscriber,
        "channel": channel.value,
        "workflow": workflow,
        "message": message,
        "subject": line if len(line) <= TITLE else f"{line[: TITLE - 1]}…",
    }
    return Event(uid, EventKind.EVENT, BUDGET_EXCEEDED, data, ts=now, received_at=now, id=uid, subject=subscriber)
