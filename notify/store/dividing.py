"""Where a window ends, settled from its items in order, so that it does not matter who brought them in when. Pure.

A window of a fixed length is [first, first + seconds). A debounced one ends once nothing came for `seconds`, `max`
after its first item at the latest. With a look-back, an item that had none before it within `back` passes alone and at
once, and the next one opens a window of a fixed length. Whatever the mode, the item that fills it (`capacity`) ends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from notify.store.windows import DEBOUNCE, LOOKBACK


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of one open window's items: closed as a window, or left open."""

    items: Sequence[Any]
    closes_at: datetime
    closed: bool
    #: It was let through because nothing had come before it for long.
    passed: bool = False


class _First(NamedTuple):
    """How many of the items the first window takes, when it ends, and whether it is one that passes."""

    items: int
    ends: datetime
    passed: bool = False


def divided(window: Any, items: Sequence[Any], horizon: datetime, last: datetime | None) -> list[Part]:
    """The windows that ended by `horizon`, and what stays open; `last` is when its key last had an item before."""
    parts: list[Part] = []
    opened: datetime = window.opened_at
    while items:
        first = _first(window.mode, window.rule, items, opened, last)
        if first.ends > horizon:
            # One window is open for a key: what is not over yet stays together, and is divided when it closes.
            parts.append(Part(items, first.ends, closed=False))
            break
        inside, items = items[: first.items], items[first.items :]
        parts.append(Part(inside, first.ends, closed=True, passed=first.passed))
        opened = items[0].ts if items else opened
        # Whoever came too late for an earlier window does not make what comes now seem to be the first in a while.
        last = max(last or inside[-1].ts, inside[-1].ts)
    return parts


def _first(mode: str, rule: Any, items: Sequence[Any], opened: datetime, last: datetime | None) -> _First:
    begins, length = items[0].ts, timedelta(seconds=rule["seconds"])
    # One whose first item was withdrawn ends when it would have ended with it.
    starts = opened if opened <= begins < opened + length else begins
    if mode == LOOKBACK:
        if last is None or begins - last >= timedelta(seconds=rule["back"]):
            return _First(1, begins, passed=True)
        ends = begins + length
    elif mode == DEBOUNCE:
        ends = _quiet(items, length, starts + timedelta(seconds=rule["max"]))
    else:
        ends = starts + length
    count = sum(1 for item in items if item.ts < ends)
    return _filled(items, count, ends, rule.get("capacity"))


def _quiet(items: Sequence[Any], quiet: timedelta, latest: datetime) -> datetime:
    """When nothing came for so long, or the latest a window may end."""
    ends = items[0].ts + quiet
    for item in items[1:]:
        if item.ts >= min(ends, latest):
            break
        ends = item.ts + quiet
    return min(ends, latest)


def _filled(items: Sequence[Any], count: int, ends: datetime, capacity: int | None) -> _First:
    if capacity and count >= capacity:
        return _First(capacity, items[capacity - 1].ts)
    return _First(count, ends)
