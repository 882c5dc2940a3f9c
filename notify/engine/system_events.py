"""What the system says about its own work, as ordinary events that workflows may listen to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from notify.engine.driver import Ending
from notify.model import Event, EventKind, NotificationStatus, derive
from notify.registry import Registry

FAILED = "notify/workflow.failed"
FINISHED = "notify/workflow.finished"
CANCELLED = "notify/workflow.cancelled"
_PREFIX = "notify/workflow."


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
            said.append(_event(FAILED, ending, now))
        if heard:
            said.append(_event(FINISHED, ending, now))
    return said


def _event(name: str, ending: Ending, now: datetime) -> Event:
    claimed = ending.claimed
    uid = derive("system", name, claimed.id)
    error = ending.error or {}
    data = {
        "function_id": claimed.workflow,
        "run_id": claimed.id,
        "status": ending.status,
        "error": {"name": error.get("name"), "message": error.get("message"), "stack": error.get("stack")}
        if error
        else None,
        "subscriber": claimed.subscriber,
        "event": {"id": claimed.event.id or claimed.event.uid, "name": claimed.event.name, "data": claimed.event.data},
    }
    return Event(
        uid=uid,
        kind=EventKind.EVENT,
        name=name,
        data=data,
        ts=now,
        received_at=now,
        id=uid,
        subject=claimed.workflow,
    )
