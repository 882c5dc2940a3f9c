"""A row of an outbox that anybody with the right to it may have written, as texts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

import orjson

from notify.errors import InvalidEvent
from notify.intake.events import near, parse_channels, parse_priority
from notify.intake.values import object_of, plain, text_of
from notify.model import Event, EventKind, JsonObject, is_id

_REMEDY = "Let emit or trigger write the row"


def parse_row(row: Mapping[str, Any], now: datetime) -> Event:
    """The event of this row, or an InvalidEvent naming the column. What it answers with can be stored and matched."""
    kind, data = _kind(row["kind"]), _object(row["data"], "data")
    if kind is EventKind.TRIGGER:
        _check_trigger(data)
    return Event(
        uid=_uid(row["uid"]),
        kind=kind,
        name=text_of(row["name"], "name"),
        data=data,
        ts=_instant(row["ts"], "ts", now),
        received_at=_instant(row["received_at"], "received_at", now),
        id=_optional(row["id"], "id"),
        v=_optional(row["v"], "v"),
        user=None if row["user"] is None else _object(row["user"], "user"),
        subject=plain(row["subject"], "subject"),
    )


def _wrong(field: str, value: Any, what: str) -> InvalidEvent:
    return InvalidEvent(field=field, problem=f"{str(value)[:60]!r} is no {what}", remedy=_REMEDY)


def _kind(value: Any) -> EventKind:
    try:
        return EventKind(value)
    except ValueError:
        raise _wrong("kind", value, "kind of row") from None


def _uid(value: Any) -> str:
    if not isinstance(value, str) or not is_id(value):
        raise _wrong("uid", value, "id of ours")
    return value.lower()


def _instant(value: Any, field: str, now: datetime) -> datetime:
    try:
        instant = datetime.fromisoformat(value)
        if instant.tzinfo is not None:
            return near(instant, field, now)
    except (TypeError, ValueError):
        pass
    raise _wrong(field, value, "instant with its zone")


def _optional(value: Any, field: str) -> str | None:
    return None if value is None else text_of(value, field)


def _object(value: Any, field: str) -> JsonObject:
    try:
        return object_of(plain(orjson.loads(value), field), field)
    except (orjson.JSONDecodeError, TypeError, UnicodeError):
        raise _wrong(field, value, "JSON") from None


def _check_trigger(data: JsonObject) -> None:
    people = data.get("to")
    if not isinstance(people, list):
        raise _wrong("data.to", people, "list of people")
    for place, person in enumerate(cast("list[Any]", people)):
        text_of(object_of(person, f"data.to[{place}]").get("id"), f"data.to[{place}].id")
    object_of(data.get("payload", {}), "data.payload")
    parse_channels(data.get("channels"))
    parse_priority(data.get("priority"))
