"""Events and triggers from untrusted input. Pure; nothing is written here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import pydantic

from notify.errors import InvalidEvent, PayloadTooLarge
from notify.intake.people import channel, parse_recipients
from notify.intake.values import clean, dumped, object_of, plain, validated
from notify.model import Event, EventKind, JsonObject, derive, new_id

#: Bytes of JSON one event or trigger may have (Novu's payload limit).
MAX_BYTES = 524_288
_ENVELOPE = {"name", "data", "id", "ts", "v", "user"}
_LATEST_MS = 253_402_300_799_999


class EventModel(Protocol):
    """What intake needs of a catalogue entry."""

    @property
    def model(self) -> type[pydantic.BaseModel]: ...
    @property
    def subject(self) -> str | None: ...


Catalogue = Mapping[str, EventModel]


def parse_event(raw: Any, catalogue: Catalogue, now: datetime) -> Event:
    """One event from a JSON object of `name`, `data` and optionally `id`, `ts` (Unix ms), `v`, `user`."""
    envelope = object_of(raw, "event")
    unknown = sorted(set(envelope) - _ENVELOPE)
    if unknown:
        raise InvalidEvent(field=unknown[0], problem="not part of an event", remedy="Put your own fields into `data`")
    name = _text(envelope, "name", required=True)
    known = catalogue.get(name or "")
    data = _data(envelope, known)
    return Event(
        uid=new_id(),
        kind=EventKind.EVENT,
        name=name or "",
        data=data,
        ts=_instant(envelope.get("ts"), now),
        received_at=now,
        id=_text(envelope, "id"),
        v=_text(envelope, "v"),
        user=object_of(envelope["user"], "user") if envelope.get("user") is not None else None,
        subject=_subject(data, known),
    )


def make_event(
    name: str,
    data: Any,
    catalogue: Catalogue,
    now: datetime,
    *,
    id: str | None = None,
    ts: Any = None,
    v: str | None = None,
    user: Any = None,
) -> Event:
    """One event from Python values; `data` may be a pydantic model, `ts` an aware datetime."""
    raw = {"name": name, "data": plain(data), "id": id, "ts": ts, "v": v, "user": user}
    return parse_event({key: value for key, value in raw.items() if value is not None}, catalogue, now)


def make_trigger(
    environment: str,
    workflow: str,
    now: datetime,
    *,
    to: Any,
    payload: Any,
    model: Any,
    transaction_id: str | None = None,
    actor: str | None = None,
    tenant: str | None = None,
    channels: Any = None,
    priority: str | None = None,
    at: Any = None,
) -> Event:
    """A request to run one workflow for `to`; the payload is validated by the workflow's own model first.

    A transaction id that was used before gives the same uid, so it can decide nothing a second time.
    """
    data = {
        "to": parse_recipients(to, "to"),
        "payload": validated(model, plain({} if payload is None else payload), "payload"),
        "actor": actor,
        "tenant": tenant,
        "channels": _channels(channels),
        "priority": priority,
    }
    transaction = transaction_id or new_id()
    trigger = Event(
        uid=derive("trigger", environment, workflow, transaction),
        kind=EventKind.TRIGGER,
        name=workflow,
        data={key: value for key, value in data.items() if value is not None},
        ts=_instant(at, now),
        received_at=now,
        id=clean(transaction, "transaction_id"),
    )
    _checked_size(trigger.data, "payload")
    return trigger


def _text(envelope: Mapping[str, Any], field: str, *, required: bool = False) -> str | None:
    value = envelope.get(field)
    if value is None and not required:
        return None
    if not isinstance(value, str) or not value.strip():
        raise InvalidEvent(field=field, problem="must be a non-empty text", remedy=f"Give the event a `{field}`")
    return clean(value, field)


def _data(envelope: Mapping[str, Any], known: EventModel | None) -> JsonObject:
    if "data" not in envelope:
        raise InvalidEvent(field="data", problem="is missing", remedy="Send an object, {} if there is nothing to say")
    data = object_of(envelope["data"], "data")
    _checked_size(data, "data")
    if known is not None:
        validated(known.model, data, "data")
    return data


def _checked_size(data: JsonObject, field: str) -> None:
    text = dumped(data, field)
    if len(text) > MAX_BYTES:
        raise PayloadTooLarge(field=field, actual=len(text), allowed=MAX_BYTES)
    if b"\\u0000" in text:
        raise InvalidEvent(field=field, problem="holds a NUL character", remedy="Remove \\u0000: no database keeps it")


def _subject(data: JsonObject, known: EventModel | None) -> str | None:
    value = data.get(known.subject) if known is not None and known.subject else None
    return None if value is None else str(value)


def _instant(value: Any, now: datetime) -> datetime:
    if value is None:
        return now
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise InvalidEvent(
                field="ts", problem=f"{value} is naive", remedy="Give it a zone: datetime(…, tzinfo=UTC)"
            )
        return value.astimezone(UTC)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LATEST_MS:
        raise InvalidEvent(field="ts", problem=f"{value!r} is no Unix time in milliseconds", remedy="Send an integer")
    return datetime.fromtimestamp(value // 1000, UTC).replace(microsecond=value % 1000 * 1000)


def _channels(value: Any) -> list[str] | None:
    if value is None:
        return None
    names = [value] if isinstance(value, str) else list(value)
    for name in names:
        channel(name, "channels")
    return names
