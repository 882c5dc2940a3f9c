"""Single values from untrusted input: JSON, objects, texts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

import orjson
import pydantic

from notify.errors import InvalidEvent

#: Characters a name or an id may have.
LONGEST = 255


def plain(value: Any, field: str = "data") -> Any:
    """The value as JSON would carry it: pydantic models and aware datetimes become objects and ISO 8601 texts.

    What no database or no JSON keeps (NUL, half a surrogate, NaN, a key that is no text) is an InvalidEvent.
    """
    return orjson.loads(checked(value, field))


def checked(value: Any, field: str) -> bytes:
    """The value as JSON text, refused as `plain` says."""
    text = dumped(value, field)
    # NUL is written as an escape, NaN as null: without either there is nothing to look for.
    if b"\\u0000" in text or (b"null" in text and _has_nan(value)):
        _refuse(value, field)
    return text


def _has_nan(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False, default=_beside_nan)
    except ValueError:
        return True
    return False


def _beside_nan(value: Any) -> Any:
    return value.model_dump() if isinstance(value, pydantic.BaseModel) else None


def _refuse(value: Any, field: str) -> None:
    if isinstance(value, str) and "\0" in value:
        raise InvalidEvent(field=field, problem="holds a NUL character", remedy="Remove it: no database keeps it")
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidEvent(field=field, problem=f"{value} is not JSON", remedy="Send a number, or null")
    if isinstance(value, pydantic.BaseModel):
        _refuse(value.model_dump(), field)
    elif isinstance(value, Mapping):
        for key, one in cast("Mapping[Any, Any]", value).items():
            _refuse(key, field)
            _refuse(one, f"{field}.{key}")
    elif isinstance(value, list | tuple):
        for place, one in enumerate(cast("list[Any]", value)):
            _refuse(one, f"{field}[{place}]")


def validated(model: Any, value: Any, field: str) -> Any:
    """The value as `model` reads it (defaults filled in), as JSON; types are not coerced."""
    return _adapter(model).dump_python(fitting(model, checked(value, field), field), mode="json")


def fitting(model: Any, text: bytes, field: str) -> Any:
    """JSON text as `model` reads it, or an InvalidEvent naming the field that does not fit."""
    try:
        return _adapter(model).validate_json(text, strict=True)
    except pydantic.ValidationError as error:
        raise _invalid(error, field) from None


@lru_cache
def _adapter(model: Any) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(model)


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
    """A JSON object with texts as keys, or an InvalidEvent naming the field."""
    if not isinstance(value, Mapping):
        raise InvalidEvent(
            field=field, problem=f"must be a JSON object, not {type(value).__name__}", remedy='Write {"key": …}'
        )
    found = dict(cast("Mapping[Any, Any]", value))
    for key in found:
        if not isinstance(key, str):
            raise InvalidEvent(field=field, problem=f"{key!r} is no name of a field", remedy="Use texts as keys")
    return found


def text_of(value: Any, field: str) -> str:
    """A text that is not empty and that every database keeps: no NUL, no half surrogate, at most 255 characters."""
    if not isinstance(value, str) or not value.strip():
        raise InvalidEvent(field=field, problem="must be a non-empty text", remedy=f"Give `{field}` a text")
    return kept_text(value, field, LONGEST)


def kept_text(value: str, field: str, longest: int) -> str:
    """The text, or an InvalidEvent when a database would not keep it."""
    dumped(value, field)
    if "\0" in value or len(value) > longest:
        problem = f"holds a NUL character or is longer than {longest}"
        raise InvalidEvent(field=field, problem=problem, remedy="Shorten or clean it")
    return value


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
