"""Events that somebody waits for: looked for among those stored already, and met when they come later."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import datetime
from hashlib import sha256
from itertools import chain, groupby, islice
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
#: A notification and its step.
Place = tuple[str, str]
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
    found = _stored(connection, environment, [request for request in requests if not request.past], now)
    ends = [_end(request, found.get(_place(request)), now) for request in requests]
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


def _place(request: Request) -> Place:
    return (request.claimed.id, request.step.key)


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


def _stored(
    connection: sa.Connection, environment: str, requests: Sequence[Request], now: datetime
) -> dict[Place, Event]:
    """For each the first event that came since its notification began."""
    asked: dict[tuple[str, str], list[Request]] = {}
    for request in requests:
        match = _match(_wait(request))
        if _key(match, request.claimed.event) is not None:
            path = match.path[1] if match and match.path else ""
            asked.setdefault((_wait(request).name, path), []).append(request)
    found: dict[Place, Event] = {}
    for (name, path), some in asked.items():
        since = min(request.claimed.event.ts for request in some)
        having = (path, _values(some)) if path else None
        with closing(events.since(connection, environment, name, since, now, having)) as pages:
            found |= _found(connection, environment, some, path, pages)
    return found


def _values(requests: Sequence[Request]) -> list[Any]:
    """What the events that these look for may have at their path, each once."""
    paths = ((request, match.path) for request in requests if (match := _match(_wait(request))))
    values = (path_value(request.claimed.event, path[0]) for request, path in paths if path)
    return list({canonical(value): value for value in values}.values())


def _found(
    connection: sa.Connection,
    environment: str,
    requests: Sequence[Request],
    path: str,
    pages: Iterator[Sequence[Event]],
) -> dict[Place, Event]:
    """No page is read once everybody has found theirs."""
    found: dict[Place, Event] = {}
    given: Mapping[str, set[str]] | None = None
    for page in pages:
        given = _given(connection, environment, requests) if given is None else given
        stored: dict[tuple[str, str], list[Event]] = {}
        for event in page:
            key = _of(path, canonical(path_value(event, path))) if path else ""
            stored.setdefault((event.name, key), []).append(event)
        found |= {_place(request): event for request in requests if (event := _first(request, stored, given))}
        requests = [request for request in requests if _place(request) not in found]
        if not requests:
            break
    return found


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
    met: dict[Place, dict[str, Any]] = {}
    for waiting in awaiting.waiting(connection, environment, sorted({(event.name, key) for event, key in keyed})):
        known = events.load(connection, environment, [row.event for row in waiting])
        met |= _met_by(keyed, waiting, known)
    for rows in _pages(met):
        awaiting.meet(connection, environment, rows, now)


def _met_by(
    keyed: Sequence[tuple[Event, str]], waiting: Sequence[Any], known: Mapping[str, Event]
) -> dict[Place, dict[str, Any]]:
    """What the steps of these that the events are for are given, each the first that is."""
    by_key: dict[tuple[str, str], list[Any]] = {}
    for row in waiting:
        by_key.setdefault((row.name, row.key), []).append(row)
    met: dict[Place, dict[str, Any]] = {}
    for event, key in keyed:
        for row in by_key.get((event.name, key), ()):
            place = (row.notification, row.step)
            if place not in met and _is_for(row, known[row.event], event):
                met[place] = _met(row, event)
    return met


def _pages(met: Mapping[Place, dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """What steps are given, of so many notifications at a time, in order: what one of them waits for is together."""
    ordered = groupby(sorted(met.items(), key=lambda one: one[0]), key=lambda one: one[0][0])
    groups = ([row for _, row in group] for _, group in ordered)
    while page := list(chain.from_iterable(islice(groups, awaiting.PAGE))):
        yield page


def _is_for(row: Any, own: Event, event: Event) -> bool:
    in_time = row.since <= event.ts <= row.until and event.uid != own.uid
    return in_time and (row.expression is None or expression(row.expression, "match").holds(own, event))


def _met(row: Any, event: Event) -> dict[str, Any]:
    """An event from before the wait, or of which nobody knew before, takes nobody back in their own time."""
    over = {"state": StepState.COMPLETED, "value": {"event": kept(event)}}
    reached_at = max(event.ts, event.received_at, row.reached_at)
    return {"notification": row.notification, "key": row.step, "reached_at": reached_at} | over


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
