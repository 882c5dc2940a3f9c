"""Events that somebody waits for: looked for among those stored already, and met when they come later."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from hashlib import sha256
from typing import Any, cast

import sqlalchemy as sa

from notify.engine.driver import Answer, Request
from notify.engine.ends import End, delayed
from notify.expressions import Expression, canonical, expression, path_value, seen
from notify.model import Event, EventKind, JsonObject, Remembered, StepState
from notify.steps import WaitForEvent
from notify.store import alarms, awaiting, events, memos
from notify.timing import later

#: What only one process does at a time, as the lease says: giving events to those they concern.
MATCH = "match"
#: Characters of a key; of a longer one its hash is kept.
LONGEST = 300


def hold_off(connection: sa.Connection, environment: str, requests: Sequence[Request]) -> None:
    """Let no events be matched while somebody looks for one and then says that they wait for it.

    First of all, for whoever matches takes this lock and then those of notifications.
    """
    if any(isinstance(request.step, WaitForEvent) for request in requests):
        alarms.hold_off(connection, environment, MATCH)


def expect(
    connection: sa.Connection, environment: str, workflow: str, requests: Sequence[Request], now: datetime
) -> list[End]:
    """For each the event that came since its notification began, or a wait for it."""
    if not requests:
        return []
    stored = _stored(connection, environment, requests, now)
    given = _given(connection, environment, requests) if stored else {}
    found = [None if request.past else _first(request, stored, given) for request in requests]
    ends = [_end(request, event, now) for request, event in zip(requests, found, strict=True)]
    rows = [_expected(workflow, request, end.until) for request, end in zip(requests, ends, strict=True) if end.until]
    awaiting.expect(connection, environment, [row for row in rows if row is not None])
    return ends


def _end(request: Request, event: Event | None, now: datetime) -> End:
    until = later(now, _wait(request).timeout, None)
    if event is None and not request.past and until > now:
        return delayed(until, {})
    return End(Answer(event), StepState.COMPLETED, {"event": None if event is None else kept(event)})


def _wait(request: Request) -> WaitForEvent:
    assert isinstance(request.step, WaitForEvent)
    return request.step


def _match(step: WaitForEvent) -> Expression | None:
    return None if step.match is None else expression(step.match, f"wait_for_event({step.key!r}).match")


def _expected(workflow: str, request: Request, until: datetime) -> dict[str, Any] | None:
    """None where the event lacks what the other one would have to equal: nothing can match, and time runs out."""
    step, claimed = _wait(request), request.claimed
    key = _key(_match(step), claimed.event)
    return (
        key
        if key is None
        else {
            "notification": claimed.id,
            "step": step.key,
            "workflow": workflow,
            "name": step.name,
            "key": key,
            "expression": step.match,
            "since": claimed.event.ts,
            "until": until,
            "reached_at": claimed.own_time,
        }
    )


def _key(match: Expression | None, own: Event) -> str | None:
    """Under what an event is looked up that `own` waits for: None where there can be none."""
    if match is None or match.path is None:
        return ""
    value = match.own_key(own)
    return None if value is None else _of(match.path[1], value)


def _of(path: str, value: str) -> str:
    key = f"{path}={value}"
    return key if len(key) <= LONGEST else sha256(key.encode("utf-8", "replace")).hexdigest()


def keys_of(event: Event) -> Iterator[str]:
    """Everything under which somebody may look this event up."""
    yield ""
    for name, value in seen(event).items():
        yield from _within(name, value)


def _within(path: str, value: Any) -> Iterator[str]:
    yield _of(path, canonical(value))
    if isinstance(value, Mapping):
        for name, one in cast("Mapping[str, Any]", value).items():
            yield from _within(f"{path}.{name}", one)


# --- those that are stored ----------------------------------------------------------------------

Stored = Mapping[tuple[str, str], Sequence[Event]]


def _stored(connection: sa.Connection, environment: str, requests: Sequence[Request], now: datetime) -> Stored:
    """What came since the first of these notifications began, by name and key, in order."""
    asked: dict[tuple[str, str], list[Request]] = {}
    for request in requests:
        match = _match(_wait(request))
        asked.setdefault((_wait(request).name, match.path[1] if match and match.path else ""), []).append(request)
    found: dict[tuple[str, str], list[Event]] = {}
    for (name, path), some in asked.items():
        since = min(request.claimed.event.ts for request in some)
        for event in events.since(connection, environment, name, since, now, _texts(path, some)):
            key = _of(path, canonical(path_value(event, path))) if path else ""
            found.setdefault((name, key), []).append(event)
    return found


def _texts(path: str, requests: Sequence[Request]) -> tuple[str, set[str]] | None:
    """Which events can match at all, where that is a text in their data: the database leaves the others out."""
    values: set[str] = set()
    for request in requests:
        match = _match(_wait(request))
        value = path_value(request.claimed.event, match.path[0]) if match and match.path else None
        if not isinstance(value, str):
            return None
        values.add(value)
    root, _, below = path.partition(".")
    return (below, values) if root == "data" and below else None


def _first(request: Request, stored: Stored, given: Mapping[str, set[str]]) -> Event | None:
    """The first that matches and that no other wait of this notification has been given."""
    step, own = _wait(request), request.claimed.event
    match = _match(step)
    key = _key(match, own)
    taken = given.get(request.claimed.id, set()) | {own.uid}
    for event in stored.get((step.name, key), ()) if key is not None else ():
        if event.ts >= own.ts and event.uid not in taken and (match is None or match.holds(own, event)):
            return event
    return None


def _given(connection: sa.Connection, environment: str, requests: Sequence[Request]) -> dict[str, set[str]]:
    """Which events the waits of these notifications were given, a moment ago too."""
    memory = memos.recall(connection, environment, sorted({request.claimed.id for request in requests}))
    return {id_: set(_events(steps.values())) for id_, steps in memory.items()}


def _events(remembered: Iterable[Remembered]) -> Iterator[str]:
    for one in remembered:
        if one.kind == WaitForEvent.__name__.lower() and one.value and one.value.get("event"):
            yield one.value["event"]["uid"]


# --- those that come ----------------------------------------------------------------------------


def meet(connection: sa.Connection, environment: str, batch: Sequence[Event], now: datetime) -> None:
    """Give these events, in order, to whoever waits for them."""
    names = awaiting.names(connection, environment, {event.name for event in batch if event.kind is EventKind.EVENT})
    news = [event for event in batch if event.name in names and event.kind is EventKind.EVENT]
    if not news:
        return
    keyed = [(event, key) for event in news for key in keys_of(event)]
    waiting = awaiting.waiting(connection, environment, sorted({(event.name, key) for event, key in keyed}))
    known = events.load(connection, environment, [row.event for row in waiting])
    by_key: dict[tuple[str, str], list[Any]] = {}
    for row in waiting:
        by_key.setdefault((row.name, row.key), []).append(row)
    met: dict[tuple[str, str], dict[str, Any]] = {}
    for event, key in keyed:
        for row in by_key.get((event.name, key), ()):
            place = (row.notification, row.step)
            if place not in met and _is_for(row, known[row.event], event):
                met[place] = _met(row, event)
    awaiting.meet(connection, environment, [met[place] for place in sorted(met)], now)


def _is_for(row: Any, own: Event, event: Event) -> bool:
    in_time = row.since <= event.ts <= row.until and event.uid != own.uid
    return in_time and (row.expression is None or expression(row.expression, "match").holds(own, event))


def _met(row: Any, event: Event) -> dict[str, Any]:
    """An event from before the wait takes nobody back in their own time."""
    over = {"state": StepState.COMPLETED, "value": {"event": kept(event)}}
    return {"notification": row.notification, "key": row.step, "reached_at": max(event.ts, row.reached_at)} | over


# --- as a step remembers it ---------------------------------------------------------------------


def kept(event: Event) -> JsonObject:
    """An event as JSON."""
    return asdict(event) | {"ts": event.ts.isoformat(), "received_at": event.received_at.isoformat()}


def recalled(remembered: Remembered) -> Event | None:
    """The event a wait was given, or None where time ran out."""
    value = cast("dict[str, Any]", remembered.value or {}).get("event")
    if value is None:
        return None
    ts, received_at = (datetime.fromisoformat(value[name]) for name in ("ts", "received_at"))
    rest: dict[str, Any] = {name: value[name] for name in ("uid", "name", "data", "id", "v", "user", "subject")}
    return Event(kind=EventKind(value["kind"]), ts=ts, received_at=received_at, **rest)
