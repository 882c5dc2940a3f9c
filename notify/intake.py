"""Untrusted input becomes an Event, or an error that names the field and the remedy. Pure; nothing is written here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson
import pydantic

from notify.errors import InvalidEvent, InvalidInput, PayloadTooLarge
from notify.model import Channel, Event, EventKind, JsonObject, Preference, derive, new_id

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
    envelope = _object(raw, "event")
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
        user=_object(envelope["user"], "user") if envelope.get("user") is not None else None,
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
        id=_clean(transaction, "transaction_id"),
    )
    _checked_size(trigger.data, "payload")
    return trigger


def plain(value: Any) -> Any:
    """The value as JSON would carry it: pydantic models and aware datetimes become objects and ISO 8601 texts."""
    if isinstance(value, pydantic.BaseModel):
        return value.model_dump(mode="json")
    return orjson.loads(_dumped(value, "data"))


def validated(model: Any, value: Any, field: str) -> Any:
    """The value as `model` reads it (defaults filled in), as JSON; types are not coerced."""
    adapter = pydantic.TypeAdapter[Any](model)
    try:
        return adapter.dump_python(adapter.validate_json(_dumped(value, field), strict=True), mode="json")
    except pydantic.ValidationError as error:
        raise _invalid(error, field) from None


def _invalid(error: pydantic.ValidationError, field: str) -> InvalidEvent:
    first = error.errors()[0]
    path = ".".join([field, *(str(part) for part in first["loc"])])
    remedies = {
        "missing": "Add it",
        "timezone_aware": "Give it a zone, such as 2026-03-29T09:00:00+01:00",
    }
    given = "" if first["type"] == "missing" else f" (got {str(first['input'])[:60]!r})"
    return InvalidEvent(
        field=path, problem=first["msg"] + given, remedy=remedies.get(first["type"], "Correct it and send it again")
    )


def _object(value: Any, field: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidEvent(
            field=field, problem=f"must be a JSON object, not {type(value).__name__}", remedy='Write {"key": …}'
        )
    return dict(value)  # pyright: ignore[reportUnknownArgumentType,reportUnknownVariableType]


def _text(envelope: Mapping[str, Any], field: str, *, required: bool = False) -> str | None:
    value = envelope.get(field)
    if value is None and not required:
        return None
    if not isinstance(value, str) or not value.strip():
        raise InvalidEvent(field=field, problem="must be a non-empty text", remedy=f"Give the event a `{field}`")
    return _clean(value, field)


def _clean(text: str, field: str) -> str:
    if "\x00" in text or len(text) > 255:
        raise InvalidEvent(
            field=field, problem="holds a NUL character or is longer than 255", remedy="Shorten or clean it"
        )
    return text


def _data(envelope: Mapping[str, Any], known: EventModel | None) -> JsonObject:
    if "data" not in envelope:
        raise InvalidEvent(field="data", problem="is missing", remedy="Send an object, {} if there is nothing to say")
    data = _object(envelope["data"], "data")
    _checked_size(data, "data")
    if known is not None:
        validated(known.model, data, "data")
    return data


def _checked_size(data: JsonObject, field: str) -> None:
    text = _dumped(data, field)
    if len(text) > MAX_BYTES:
        raise PayloadTooLarge(field=field, actual=len(text), allowed=MAX_BYTES)
    if b"\\u0000" in text:
        raise InvalidEvent(field=field, problem="holds a NUL character", remedy="Remove \\u0000: no database keeps it")


def _dumped(value: Any, field: str) -> bytes:
    try:
        return orjson.dumps(value, default=_default)
    except (TypeError, ValueError) as error:
        raise InvalidEvent(field=field, problem=str(error), remedy="Send what JSON can carry") from None


def _default(value: Any) -> Any:
    if isinstance(value, pydantic.BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} is not JSON")


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


def channel(name: Any, field: str) -> Channel:
    """The channel of that name."""
    try:
        return Channel(name)
    except ValueError:
        raise InvalidInput(
            field=field, problem=f"no channel is called {name!r}", remedy=f"Use one of {', '.join(Channel)}"
        ) from None


# --- people -------------------------------------------------------------------------------------

_PERSON = {
    "email": "email",
    "phone": "phone",
    "firstName": "first_name",
    "lastName": "last_name",
    "avatar": "avatar",
    "locale": "locale",
    "timezone": "timezone",
    "data": "data",
    "channels": "channels",
}


def parse_recipients(to: Any, field: str) -> list[dict[str, Any]]:
    """Recipients as rows for the store, each with an `id`: from ids, subscriber objects, or a list mixing both."""
    several = list(to) if isinstance(to, list | tuple | set | frozenset) else [] if to is None else [to]  # pyright: ignore
    return [_recipient(one, f"{field}[{place}]") for place, one in enumerate(several)]  # pyright: ignore


def _recipient(one: Any, field: str) -> dict[str, Any]:
    if isinstance(one, str):
        return {"id": _subscriber_id(one, field)}
    if isinstance(one, Mapping) and "subscriberId" in one:
        return parse_subscriber(one, field)[0]
    raise InvalidInput(
        field=field, problem=f"{one!r} names nobody", remedy='Use an id, or {"subscriberId": "…", "email": "…"}'
    )


def _subscriber_id(value: Any, field: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput(field=field, problem="the id must be a non-empty text", remedy="Use your own user id")
    return _clean(value, field)


def parse_subscriber(raw: Any, field: str = "subscriber") -> tuple[dict[str, Any], list[Preference]]:
    """A person and their choices from `{"subscriberId": …, "email": …, …, "preferences": […]}`.

    Only the fields given are in the row, so that the others keep their stored values.
    """
    person = _object(raw, field)
    known = {"subscriberId", "preferences", *_PERSON}
    unknown = sorted(set(person) - known)
    if unknown:
        raise InvalidInput(
            field=f"{field}.{unknown[0]}", problem="not a field of a person", remedy="Put it into `data`"
        )
    id_ = _subscriber_id(person.get("subscriberId"), f"{field}.subscriberId")
    row = {column: _person_value(name, person[name], field) for name, column in _PERSON.items() if name in person}
    choices = [_choice(id_, one, f"{field}.preferences") for one in person.get("preferences") or ()]
    return {"id": id_, **row}, choices


def _person_value(name: str, value: Any, field: str) -> Any:
    expected: type[Any] = {"data": dict, "channels": list}.get(name, str)
    if value is None:
        return None if expected is str else expected()
    if not isinstance(value, expected):
        raise InvalidInput(
            field=f"{field}.{name}",
            problem=f"must be {expected.__name__}, not {type(value).__name__}",
            remedy="Correct it",
        )
    return value


def _choice(subscriber: str, raw: Any, field: str) -> Preference:
    one = _object(raw, field)
    enabled = one.get("enabled")
    if not isinstance(enabled, bool):
        raise InvalidInput(field=f"{field}.enabled", problem=f"{enabled!r} is not true or false", remedy="Correct it")
    return Preference(subscriber, one.get("workflow"), channel(one.get("channel"), f"{field}.channel"), enabled)
