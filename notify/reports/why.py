"""Why somebody got a message, or did not: the chain from the event to what the person did with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa

from notify.errors import InvalidInput, NotFound
from notify.reports import reasons
from notify.store import log
from notify.store.database import Database
from notify.store.log import EVENT, MESSAGE, NOTIFICATION, Found, Trace, Whole

#: Events of a digest, or candidates of an ambiguous id, that are listed one by one.
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Because:
    """One link of the chain. `when` is None for what has no instant of its own."""

    when: datetime | None
    what: str
    because: str


@dataclass(frozen=True, slots=True)
class Why:
    """An answer: what was asked about, in a line, and its links in order."""

    subject: str
    chain: Sequence[Because]


def why(text: str, *, database: Database, environment: str) -> Why:
    """The chain of one message or notification, by its id or an unambiguous beginning of one.

    A message's chain has that message's decision and calls; a notification's has all of its messages. InvalidInput
    names the candidates of an ambiguous beginning, NotFound says that nothing begins like that.
    """
    with database.read() as connection:
        found = _the_one(text, log.matching(connection, environment, text))
        message = log.message(connection, environment, found.id) if found.kind == MESSAGE else None
        notification = found.id if message is None else message.notification
        whole = log.whole(connection, environment, notification)
    if whole is None:
        raise NotFound(what=NOTIFICATION, id=notification, remedy="Its message is all that is left of it.")
    messages = [one for one in whole.messages if message is None or one.id == message.id]
    return Why(_subject(found, whole), list(_chain(whole, messages)))


def why_not(text: str, person: str, *, database: Database, environment: str) -> Why:
    """Why an event reached a person, or did not. `text` is the event's id at the application, its uid, or a beginning.

    The chain says what the event led to for everybody, then the person's own notifications, or that there are none.
    """
    with database.read() as connection:
        uid = _event(connection, environment, text)
        event = log.event(connection, environment, uid)
        told, nobody = log.led_to(connection, environment, uid)
        own = [log.whole(connection, environment, row.id) for row in told if row.subscriber == person]
    chain = [*_of_event(event), *_led_to(event, told, nobody, person)]
    for whole in filter(None, own):
        chain += _of_notification(whole, whole.messages)
    return Why(f"{event.name} {event.id or event.uid} and {person}", chain)


def _event(connection: sa.Connection, environment: str, text: str) -> str:
    found = log.events_called(connection, environment, text, limit=1)
    return _the_one(text, found or log.matching(connection, environment, text, EVENT), EVENT).id


def _the_one(text: str, found: Sequence[Found], what: str = "message or notification") -> Found:
    if not found:
        raise NotFound(what=what, id=text, remedy="`notify log` lists messages with the beginnings of their ids.")
    if len(found) > 1:
        candidates = ", ".join(f"{one.kind} {one.id}" for one in found[:SHOWN]) + (" …" if len(found) > SHOWN else "")
        problem = f"{text!r} begins more than one id: {candidates}"
        raise InvalidInput(field="id", problem=problem, remedy="Give more of it")
    return found[0]


def _subject(found: Found, whole: Whole) -> str:
    one = whole.notification
    return f"{found.kind} {found.id}: {one.workflow} for {one.subscriber}"


def _chain(whole: Whole, messages: Sequence[Any]) -> Iterator[Because]:
    if whole.event is not None:
        yield from _of_event(whole.event)
    yield from _of_notification(whole, messages)


# --- the event ----------------------------------------------------------------------------------


def _of_event(event: Any) -> Iterator[Because]:
    what = f"trigger of {event.name}" if event.kind == "trigger" else f"event {event.name}"
    called = f"id {event.id}, " if event.id else ""
    yield Because(event.ts, what, f"{called}uid {event.uid}")
    if event.verdict == "cancelled":
        yield Because(event.matched_at, "cancelled", "it was withdrawn before its time came")
    elif event.matched_at is None:
        yield Because(None, "not matched yet", "it waits for its time, or for a worker")
    else:
        whom = "it names them" if event.kind == "trigger" else "workflows that listen to it were asked"
        yield Because(event.matched_at, "matched with people", whom)


def _led_to(event: Any, told: Sequence[Any], nobody: Sequence[Any], person: str) -> Iterator[Because]:
    for row in nobody:
        detail = f": {row.detail}" if row.detail else ""
        yield Because(row.created_at, f"{row.workflow or 'nobody'} told nobody", reasons.sentence(row.reason) + detail)
    others: dict[str, int] = {}
    for row in told:
        others[row.workflow] = others.get(row.workflow, 0) + (row.subscriber != person)
    reached = {row.workflow for row in told if row.subscriber == person}
    for workflow, count in sorted(others.items()):
        if workflow not in reached:
            people = "1 other person" if count == 1 else f"{count} other people"
            yield Because(event.matched_at, f"{workflow} passed {person} over", f"it concerned {people}")


# --- the notification ---------------------------------------------------------------------------


def _of_notification(whole: Whole, messages: Sequence[Any]) -> Iterator[Because]:
    one = whole.notification
    yield Because(one.created_at, f"notification {one.id[:8]}", f"{one.workflow} concerns {one.subscriber}")
    told = {message.step for message in whole.messages}
    for step in whole.steps:
        if step.key not in told:
            yield from _of_step(step, whole)
    for message in messages:
        yield from _of_message(message, whole)
    yield from _ending(whole)


def _of_step(step: Trace, whole: Whole) -> Iterator[Because]:
    problem = _object(step.error).get("message") or _halted(_object(step.value))
    because = f"{step.state}{_took(step)}" + (f": {problem}" if problem else "")
    yield Because(step.started_at, f"step {step.key} ({step.kind})", because)
    window = whole.window
    if step.kind == "digest" and window is not None and window.step == step.key:
        yield from _of_window(whole)


def _halted(value: Mapping[str, Any]) -> str:
    """Why a step let its notification go no further, and until when it would have stopped it."""
    until = value.get("until")
    return reasons.sentence(value.get("halted")) + (f" until {until}" if "halted" in value and until else "")


def _took(step: Trace) -> str:
    if step.seconds is None:
        until = _object(step.value).get("until")
        return f" until {until}" if until else ""
    return f" after {spoken(step.seconds)}"


def _object(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def spoken(seconds: float) -> str:
    """A length of time as people say it: `0.12 s`, `15 min`, `26 h`, `3 d 4 h`."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, hours = seconds / 60, seconds / 3600
    if minutes < 90:
        return f"{minutes:.3g} min"
    return f"{hours:.3g} h" if hours < 48 else f"{int(hours // 24)} d {int(hours % 24)} h"


def _of_window(whole: Whole) -> Iterator[Because]:
    window = whole.window
    yield Because(window.opened_at, f"digest {window.id[:8]} opened", collects(window.mode, window.rule or {}))
    live = [item for item in whole.items if item.reason is None and item.withdrawn_at is None]
    for item in live[:SHOWN]:
        yield Because(item.ts, f"digest {window.id[:8]} collected", f"{item.name} {item.id or item.uid}")
    if len(live) > SHOWN:
        yield Because(None, f"digest {window.id[:8]} collected", f"{len(live) - SHOWN} more")
    for item in whole.items:
        if item not in live:
            because = f"{item.name} {item.id or item.uid}: {reasons.sentence(item.reason) or 'it was cancelled'}"
            yield Because(item.withdrawn_at, "withdrawn", because)
    if window.closed_at is None:
        yield Because(window.closes_at, f"digest {window.id[:8]} closes", "it still collects")
        return
    count = "1 event" if window.items == 1 else f"{window.items or 0} events"
    carrier = f", carried by notification {window.carrier[:8]}" if window.carrier else ""
    yield Because(window.closed_at, f"digest {window.id[:8]} {window.state}", count + carrier)


def collects(mode: str, rule: Mapping[str, Any]) -> str:
    """How long a window collects, in words: the rule it was opened with, which it keeps."""
    lengths = {name: spoken(rule[name]) for name in ("seconds", "max", "back") if name in rule}
    words = {
        "fixed": "it collects for {seconds} from its first event",
        "debounce": "it collects until nothing came for {seconds}, for {max} at most",
        "lookback": "what comes {back} after the last passes at once; the rest is collected for {seconds}",
    }
    full = f", or until it holds {rule['capacity']}" if "capacity" in rule else ""
    if mode not in words:
        return f"it collects until {rule.get('slots', 'its time of the calendar')}"
    return words[mode].format(**lengths) + full


def _ending(whole: Whole) -> Iterator[Because]:
    one = whole.notification
    problem = _object(one.error).get("message")
    because = ": ".join(filter(None, [reasons.sentence(one.reason), problem]))
    if one.finished_at is not None:
        yield Because(one.finished_at, f"notification {one.status}", because)
    elif one.status == "waiting":
        yield Because(one.wake_at, "notification waiting", because or "until then")
    else:
        yield Because(None, f"notification {one.status}", because or "a worker will take it up")


# --- its messages -------------------------------------------------------------------------------


def _of_message(message: Any, whole: Whole) -> Iterator[Because]:
    held = _held(message, whole)
    reason = held.get("reason", message.reason)
    decided = "skipped" if message.status == "skipped" and not held else "decided"
    passed = reasons.gates(reason)
    because = f"{passed}, {reasons.sentence(reason)}" if "✗" in passed else passed
    yield Because(message.created_at, f"{message.channel} {message.id[:8]} {decided}", because)
    if held and (until := datetime.fromisoformat(held["until"])) != message.next_attempt_at:
        yield Because(until, f"{message.channel} was held until then", reasons.sentence(reason))
    for call in whole.attempts.get(message.id, ()):
        yield _of_call(call)
    yield from _became(message)
    if held and message.status == "skipped":
        yield Because(None, f"{message.channel} skipped", reasons.sentence(message.reason))


def _held(message: Any, whole: Whole) -> Mapping[str, Any]:
    """What its step keeps of a message that was held when it was decided: `status`, `reason`, `until`."""
    values = [_object(step.value) for step in whole.steps if step.key == message.step]
    return values[0] if values and values[0].get("status") == "held" else {}


def _of_call(call: Any) -> Because:
    took = f" after {spoken((call.finished_at - call.started_at).total_seconds())}" if call.finished_at else ""
    detail = call.detail or call.provider_message_id
    because = f"{call.outcome or 'no answer yet'}{took}" + (f": {detail}" if detail else "")
    return Because(call.started_at, f"call {call.number} to {call.provider}", because)


def _became(message: Any) -> Iterator[Because]:
    if message.sent_at is not None and message.channel != "in_app":
        yield Because(message.sent_at, f"{message.channel} sent", "the provider took it")
    if message.delivered_at is not None:
        by = "it is in the inbox" if message.channel == "in_app" else "the provider's receipt says so"
        yield Because(message.delivered_at, f"{message.channel} delivered", by)
    if message.status in _OPEN_ENDINGS:
        because = message.error or reasons.sentence(message.reason)
        yield Because(
            message.next_attempt_at, f"{message.channel} {message.status}", because or _OPEN_ENDINGS[message.status]
        )
    for instant, what in ((message.seen_at, "seen"), (message.read_at, "read")):
        if instant is not None:
            yield Because(instant, f"{message.channel} {what}", "by the person")


#: Endings that no instant of the message tells.
_OPEN_ENDINGS = {
    "queued": "it waits for a worker",
    "held": "it waits for its time",
    "failed": "",
    "bounced": "",
    "timeout": "",
    "rate_limited": "",
    "suppressed": "",
    "cancelled": "",
    "unknown": "nobody can say whether it arrived",
}
