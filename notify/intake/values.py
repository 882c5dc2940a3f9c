"""Single values from untrusted input: JSON, objects, texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pydantic

from notify.errors import InvalidEvent


def plain(value: Any) -> Any:
    """The value as JSON would carry it: pydantic models and aware datetimes become objects and ISO 8601 texts."""
    if isinstance(value, pydantic.BaseModel):
        return value.model_dump(mode="json")
    return orjson.loads(dumped(value, "data"))


def validated(model: Any, value: Any, field: str) -> Any:
    """The value as `model` reads it (defaults filled in), as JSON; types are not coerced."""
    adapter = pydantic.TypeAdapter[Any](model)
    try:
        return adapter.dump_python(adapter.validate_json(dumped(value, field), strict=True), mode="json")
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


def object_of(value: Any, field: str) -> dict[str, Any]:
    """A JSON object, or an InvalidEvent naming the field."""
    if not isinstance(value, Mapping):
        raise InvalidEvent(
            field=field, problem=f"must be a JSON object, not {type(value).__name__}", remedy='Write {"key": …}'
        )
    return dict(value)  # pyright: ignore[reportUnknownArgumentType,reportUnknownVariableType]


def clean(text: str, field: str) -> str:
    """A text that every database keeps: no NUL, at most 255 characters."""
    if "\x00" in text or len(text) > 255:
        raise InvalidEvent(
            field=field, problem="holds a NUL character or is longer than 255", remedy="Shorten or clean it"
        )
    return text


def dumped(value: Any, field: str) -> bytes:
    """The value as JSON, or an InvalidEvent naming the field."""
    try:
        return orjson.dumps(value, default=_default)
    except (TypeError, ValueError) as error:
        raise InvalidEvent(field=field, problem=str(error), remedy="Send what JSON can carry") from None


def _default(value: Any) -> Any:
    if isinstance(value, pydantic.BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} is not JSON")
