"""How the values of conditions compare. Nothing here raises, whatever the facts hold.

- Null equals null and nothing else. A value that is missing is null.
- A text beside a number, a boolean or an instant is read as one: "12" = 12, "true" = true. A text that cannot be read
  so, and any other two kinds, are not equal: 1 is not true, and "" is not 0.
- Two texts are equal when they are the same text or the same instant ("2026-03-29T09:00:00+02:00" and "…T07:00:00Z").
- Lists and objects are equal when they have equal members in the same places.
- Order is that of numbers, of instants, and of texts: two texts go by number if both are numeric, by instant if both
  are instants, otherwise by their characters. Nothing else has an order.

An instant is a datetime or a text of ISO 8601 with its date written 2026-03-29; without a zone it is in UTC, without a
time it is midnight. A comparison answers None where it cannot be made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, cast

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d([T ].+)?", re.ASCII)
#: Texts with more digits are read as floats, which have no longest one.
_LONGEST_WHOLE = 40
#: Lists and objects nested deeper than this equal nothing.
_DEEPEST = 64


def equal(left: Any, right: Any, depth: int = 0) -> bool:
    """Whether the two are equal."""
    if left is None or right is None:
        return left is right
    if isinstance(left, str) and isinstance(right, str):
        return left == right or _same(left, right, _instant)
    if type(left) is type(right) and isinstance(left, int | float):
        return left == right
    if isinstance(left, list | tuple | Mapping):
        return depth < _DEEPEST and _equal_members(cast("Any", left), right, depth + 1)
    return any(_same(left, right, read) for read in (_number, _instant, _flag))


def _equal_members(left: Any, right: Any, depth: int) -> bool:
    if isinstance(left, Mapping) or isinstance(right, Mapping):
        if not isinstance(left, Mapping) or not isinstance(right, Mapping):
            return False
        one, other = cast("Mapping[Any, Any]", left), cast("Mapping[Any, Any]", right)
        return one.keys() == other.keys() and all(equal(one[key], other[key], depth) for key in one)
    if not isinstance(right, list | tuple) or len(left) != len(cast("list[Any]", right)):
        return False
    return all(equal(one, other, depth) for one, other in zip(left, cast("list[Any]", right), strict=True))


def _same(left: Any, right: Any, read: Callable[[Any], Any]) -> bool:
    """Whether both can be read so, and are then the same."""
    one, other = read(left), read(right)
    return one is not None and other is not None and one == other


def order(left: Any, right: Any) -> int | None:
    """Negative, 0 or positive as the left comes before the right, with it or after it; None where there is no order."""
    for read in _WITH_AN_ORDER:
        one, other = read(left), read(right)
        if one is not None and other is not None:
            return (one > other) - (one < other)
    return None


def between(value: Any, low: Any, high: Any) -> bool | None:
    """Whether the value is at least `low` and at most `high`."""
    above, below = order(value, low), order(value, high)
    return None if above is None or below is None else above >= 0 >= below


def contains(whole: Any, part: Any) -> bool | None:
    """Whether a list has an equal member, or a text the other text in it; numbers are read as they are written."""
    if isinstance(whole, list | tuple):
        return any(equal(one, part) for one in cast("list[Any]", whole))
    return _written(whole, part, str.__contains__)


def begins(whole: Any, part: Any) -> bool | None:
    """Whether a text begins with the other."""
    return _written(whole, part, str.startswith)


def ends(whole: Any, part: Any) -> bool | None:
    """Whether a text ends with the other."""
    return _written(whole, part, str.endswith)


def _written(whole: Any, part: Any, test: Callable[[str, str], bool]) -> bool | None:
    text, other = _as_written(whole), _as_written(part)
    return None if text is None or other is None else test(text, other)


def _as_written(value: Any) -> str | None:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else _text(value)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _flag(value: Any) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value)
    return value if isinstance(value, bool) else None


def _number(value: Any) -> int | float | None:
    if isinstance(value, str):
        return _number_in(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    return value


@lru_cache(1024)
def _number_in(text: str) -> int | float | None:
    if not _NUMBER.fullmatch(text):
        return None
    return int(text) if len(text) <= _LONGEST_WHOLE and text.lstrip("+-").isdigit() else float(text)


def _instant(value: Any) -> datetime | None:
    if isinstance(value, str):
        return _instant_in(value)
    return _zoned(value) if isinstance(value, datetime) else None


@lru_cache(1024)
def _instant_in(text: str) -> datetime | None:
    if not _INSTANT.fullmatch(text):
        return None
    try:
        return _zoned(datetime.fromisoformat(text))
    except ValueError:
        return None


def _zoned(instant: datetime) -> datetime:
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


_WITH_AN_ORDER: tuple[Callable[[Any], Any], ...] = (_number, _instant, _text)
