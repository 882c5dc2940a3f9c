"""Events become work: which workflow for whom, or the reason for nobody. Pure; ids are derived."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from notify.model import Event, NotificationStatus, derive

log = logging.getLogger("notify.matching")


@dataclass(frozen=True, slots=True)
class Match:
    """One event and one workflow: the people it concerns (rows with `id`), or why nobody."""

    event: Event
    workflow: str
    people: Sequence[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    reason: str | None = None
    detail: str | None = None
    #: A broadcast: everybody, whom a stored cursor reaches page by page.
    everyone: bool = False


def concerning(event: Event, workflow: str, people: Iterable[Mapping[str, Any]]) -> Match:
    """The match for these people, each of them once."""
    once = {person["id"]: person for person in people}
    return Match(event, workflow, list(once.values()), None if once else "no_recipient")


def payload_of(event: Event) -> Mapping[str, Any]:
    """What a workflow is about: a trigger's payload, or the event's own data."""
    return event.data.get("payload", {}) if event.kind == "trigger" else event.data


def notification_id(environment: str, event: Event, workflow: str, subscriber: str) -> str:
    """One id for one event, workflow and person, however often it is decided."""
    return derive("notification", environment, event.uid, workflow, subscriber)


def message_id(environment: str, notification: str, step: str) -> str:
    """One id for one notification and channel step."""
    return derive("message", environment, notification, step)


def notification_rows(
    environment: str,
    match: Match,
    *,
    priority: int,
    version: str | None,
    cancel_key: str | None,
    run_key: str | None,
    now: datetime,
) -> list[dict[str, Any]]:
    """The rows a match becomes, ready to be claimed."""
    return [
        {
            "id": notification_id(environment, match.event, match.workflow, person["id"]),
            "workflow": match.workflow,
            "subscriber": person["id"],
            "event": match.event.uid,
            "transaction_id": match.event.transaction_id,
            "ts": match.event.ts,
            "priority": priority,
            "status": NotificationStatus.READY,
            "version": version,
            "cancel_key": cancel_key,
            "run_key": run_key,
            "tries": 0,
            "created_at": now,
        }
        for person in match.people
    ]


class Waiting(Protocol):
    """An unfinished notification that an event may end."""

    id: str
    cancel_key: str | None
    event: str


class CancelRule(Protocol):
    """An event name, what of the event has to be equal, what else has to hold, and the reason."""

    @property
    def event(self) -> str: ...
    @property
    def reason(self) -> str | Callable[[Event, Event], str | None]: ...
    def key_of(self, event: Event) -> str | None: ...
    def holds(self, own: Event, newer: Event) -> bool: ...


def cancelled_by(
    news: Sequence[Event], rules: Sequence[CancelRule], waiting: Iterable[Any], known: Mapping[str, Event]
) -> dict[str, str]:
    """Which waiting notifications these events (in order) end, and why: the first event that is later decides."""
    by_key: dict[str | None, list[Any]] = {}
    for one in waiting:
        by_key.setdefault(one.cancel_key, []).append(one)
    ended: dict[str, str] = {}
    for event in news:
        for rule in (rule for rule in rules if rule.event == event.name):
            for one in by_key.get(rule.key_of(event), ()):
                own = known[one.event]
                if one.id in ended or not _is_later(event, own) or not rule.holds(own, event):
                    continue
                if reason := _reason(rule, own, event):
                    ended[one.id] = reason
    return ended


def _is_later(event: Event, than: Event) -> bool:
    return (event.ts, event.received_at, event.uid) > (than.ts, than.received_at, than.uid)


def _reason(rule: CancelRule, own: Event, event: Event) -> str | None:
    if isinstance(rule.reason, str):
        return rule.reason
    try:
        return rule.reason(own, event)
    except Exception:
        # An author's mistake about one notification leaves it waiting; it stops nobody else's page.
        log.warning("a cancel_on reason failed for %s", own.uid, exc_info=True)
        return None
