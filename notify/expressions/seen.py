"""An event as expressions see it, its values by dotted path, and values as texts that can be looked up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from json import JSONEncoder
from operator import attrgetter
from typing import Any, Final, cast

from notify.model import Event, EventKind, JsonObject

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_encoded = JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True, default=str).encode


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


#: What a path leads to where there is nothing; a null is something.
MISSING: Final = _Missing()


def _data(event: Event) -> JsonObject:
    return event.data.get("payload", {}) if event.kind is EventKind.TRIGGER else event.data


def _milliseconds(event: Event) -> int:
    return (event.ts - _EPOCH) // _MILLISECOND


#: What an event offers; of a trigger, `data` is its payload.
FIELDS: Mapping[str, Callable[[Event], Any]] = {
    "name": attrgetter("name"),
    "data": _data,
    "user": attrgetter("user"),
    "ts": _milliseconds,
    "id": attrgetter("id"),
    "v": attrgetter("v"),
}


def seen(event: Event) -> dict[str, Any]:
    """The event as it was told: `ts` in Unix ms, and nothing where nothing was said."""
    fields = {name: field(event) for name, field in FIELDS.items()}
    return {name: value for name, value in fields.items() if value is not None}


def path_value(event: Event | Mapping[str, Any], dotted: str) -> Any:
    """The value of an event at a path such as "data.userId", or MISSING."""
    name, *below = dotted.split(".")
    if isinstance(event, Event):
        found = FIELDS[name](event) if name in FIELDS else None
        found = MISSING if found is None else found
    else:
        found = event.get(name, MISSING)
    for name in below:
        found = cast("Mapping[str, Any]", found).get(name, MISSING) if isinstance(found, Mapping) else MISSING
    return found


def canonical(value: Any) -> str:
    """The value as JSON text: equal values have equal texts (1 and 1.0 too), 1 and "1" have not."""
    return _encoded(value if isinstance(value, str) else _even(value))


def _even(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _even(one) for key, one in cast("Mapping[Any, Any]", value).items()}
    return [_even(one) for one in cast("list[Any]", value)] if isinstance(value, list) else value
