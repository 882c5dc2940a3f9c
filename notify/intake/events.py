"""Events and triggers from untrusted input. Pure; nothing is written here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol, cast

import orjson
import pydantic

from notify.clock import FARTHEST
from notify.errors import InvalidEvent, InvalidInput, PayloadTooLarge
from notify.intake.people import channel, parse_recipients
from notify.intake.values import checked, fitting, object_of, plain, text_of, validated
from notify.model import Event, EventKind, JsonObject, Priority, derive, new_id

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
    name = text_of(envelope.get("name"), "name")
    known = catalogue.get(name)
    data = _data(envelope, known)
    return Event(
        uid=new_id(),
        kind=EventKind.EVENT,
        name=name,
        data=data,
        ts=_instant(envelope.get("ts"), "ts", now),
        received_at=now,
        id=_optional(envelope.get("id"), "id"),
        v=_optional(envelope.get("v"), "v"),
        user=_carried(envelope["user"], "user") if envelope.get("user") is not None else None,
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
    given = cast("Any", data) if isinstance(data, Mapping) else plain(data)
    raw: dict[str, Any] = {"name": name, "data": given, "id": id, "ts": ts, "v": v, "user": user}
    return parse_event({key: value for key, value in raw.items() if value is not None}, catalogue, now)


def make_trigger(
    environment: str,
    workflow: str,
    now: datetime,
    *,
    to: Any = (),
    everyone: bool = False,
    payload: Any,
    model: Any,
    transaction_id: str | None = None,
    actor: str | None = None,
    tenant: str | None = None,
    channels: Any = None,
    priority: str | None = None,
    at: Any = None,
) -> Event:
    """A request to run one workflow for `to`, or for everyone; the workflow's own model validates the payload first.

    A transaction id that was used before gives the same uid, so it can decide nothing a second time.
    """
    data = {
        "to": [] if everyone else parse_recipients(to, "to"),
        "everyone": everyone or None,
        "payload": validated(model, {} if payload is None else payload, "payload"),
        "actor": _optional(actor, "actor"),
        "tenant": _optional(tenant, "tenant"),
        "channels": parse_channels(channels),
        "priority": parse_priority(priority),
    }
    transaction = _optional(transaction_id, "transaction_id") or new_id()
    return Event(
        uid=derive("trigger", environment, workflow, transaction),
        kind=EventKind.TRIGGER,
        name=workflow,
        data=_carried({key: value for key, value in data.items() if value is not None}, "payload"),
        ts=_instant(at, "at", now),
        received_at=now,
        id=transaction,
    )


def _data(envelope: Mapping[str, Any], known: EventModel | None) -> JsonObject:
    if "data" not in envelope:
        raise InvalidEvent(field="data", problem="is missing", remedy="Send an object, {} if there is nothing to say")
    text = _text(envelope["data"], "data")
    if known is not None:
        fitting(known.model, text, "data")
    return orjson.loads(text)


def _optional(value: Any, field: str) -> str | None:
    return None if value is None else text_of(value, field)


def _carried(value: Any, field: str) -> dict[str, Any]:
    """An object as JSON carries it."""
    return orjson.loads(_text(value, field))


def _text(value: Any, field: str) -> bytes:
    """An object as JSON, of a size that is taken."""
    text = checked(object_of(value, field), field)
    if len(text) > MAX_BYTES:
        raise PayloadTooLarge(field=field, actual=len(text), allowed=MAX_BYTES)
    return text


def _subject(data: JsonObject, known: EventModel | None) -> str | None:
    value = data.get(known.subject) if known is not None and known.subject else None
    return None if value is None else str(value)


def _instant(value: Any, field: str, now: datetime) -> datetime:
    if value is None:
        return now
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise InvalidEvent(
                field=field, problem=f"{value} is naive", remedy="Give it a zone: datetime(…, tzinfo=UTC)"
            )
        return near(value, field, now)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LATEST_MS:
        raise InvalidEvent(field=field, problem=f"{value!r} is no Unix time in milliseconds", remedy="Send an integer")
    return near(datetime.fromtimestamp(value // 1000, UTC).replace(microsecond=value % 1000 * 1000), field, now)


def near(value: datetime, field: str, now: datetime) -> datetime:
    """The instant in UTC, or an InvalidEvent where it is so far away that nothing could be counted on from there."""
    if abs(value - now) > FARTHEST:
        problem = f"{value.isoformat()} is over a hundred years from now"
        raise InvalidEvent(field=field, problem=problem, remedy="Send a year of our times")
    return value.astimezone(UTC)


def parse_channels(value: Any) -> list[str] | None:
    """The names of channels, or None for all."""
    if value is None:
        return None
    if not isinstance(value, str | list | tuple | set | frozenset):
        raise InvalidInput(field="channels", problem=f"{value!r} is no list of channels", remedy='Write ["email"]')
    names = [value] if isinstance(value, str) else list(cast("list[Any]", value))
    return [channel(name, "channels").value for name in names]


def parse_priority(value: Any) -> str | None:
    """The name of a priority, or None."""
    if value is None:
        return None
    names = [one.name.lower() for one in Priority]
    if not isinstance(value, str) or value.lower() not in names:
        raise InvalidInput(field="priority", problem=f"{value!r} is none", remedy=f"Use one of {', '.join(names)}")
    return value.lower()
