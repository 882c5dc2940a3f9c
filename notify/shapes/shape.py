"""The steps of a workflow in the order of its source, and what can be said from them of a step somebody remembers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, cast

from notify.model import JsonObject, Remembered
from notify.shapes.mistakes import Mistake

#: Stands in a key for what only running the workflow tells.
OPEN = "…"


@dataclass(frozen=True)
class Shown:
    """One step as the source shows it."""

    key: str
    kind: str
    #: Of a digest: its mode and for how long it collects, where the source says.
    rule: JsonObject | None = None
    #: Which `n.all` it is asked for in, the first is 1; 0 where it is awaited by itself.
    group: int = 0
    #: The branches of the code it stands in, from the outside in: of what may be left out. They are not kept.
    branches: Sequence[int] = ()

    @property
    def exact(self) -> bool:
        """Whether the source says the whole key."""
        return OPEN not in self.key

    def follows(self, other: Shown) -> bool:
        """Whether whoever comes to the other one comes to this one, too, where nothing ends the body."""
        return tuple(self.branches) == tuple(other.branches)[: len(self.branches)]

    def may_be(self, key: str) -> bool:
        """Whether this step may have had this key."""
        return self.key == key or (not self.exact and _like(self.key).fullmatch(key) is not None)


@lru_cache
def _like(key: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in key.split(OPEN)), re.DOTALL)


@dataclass(frozen=True, eq=False)
class Shape:
    """The steps a workflow may ask for, in the order of its source."""

    steps: Sequence[Shown] = ()
    #: Whether these are all: False where the notification is handed to code that cannot be read.
    whole: bool = False
    #: A hash of the code; how it is written and what it says of itself does not count.
    code: str = ""
    #: What is surely wrong in it; it is not kept.
    mistakes: Sequence[Mistake] = ()
    #: The names of the events it may wait for, as far as its source says; they are not kept.
    awaits: frozenset[str] = frozenset()

    @cached_property
    def _exact(self) -> frozenset[tuple[str, str]]:
        return frozenset((one.key, one.kind) for one in self.steps)

    def knows(self, key: str, kind: str) -> bool:
        """Whether it may ask for this step."""
        return (key, kind) in self._exact or any(one.kind == kind and one.may_be(key) for one in self.steps)

    def lacks(self, key: str, kind: str) -> bool:
        """Whether it surely does not ask for this step."""
        return self.whole and not self.knows(key, kind)

    def became(self, key: str, kind: str) -> str | None:
        """What a step of this key is now, where it is of another kind: whoever remembers it would fail."""
        if self.knows(key, kind):
            return None
        return next((one.kind for one in self.steps if one.key == key), None)

    def gone(self, memo: Mapping[str, Remembered]) -> frozenset[str]:
        """The remembered steps it surely does not ask for any more."""
        return frozenset(one.key for one in memo.values() if self.lacks(one.key, one.kind))

    def place(self, key: str, kind: str) -> int | None:
        """Where in the source this step stands, the first time."""
        found = (place for place, one in enumerate(self.steps) if one.kind == kind and one.may_be(key))
        return next(found, None)

    def as_json(self) -> JsonObject:
        """Ready to be kept."""
        steps = [{"key": one.key, "kind": one.kind} | ({"rule": one.rule} if one.rule else {}) for one in self.steps]
        return {"steps": steps, "whole": self.whole, "code": self.code}


def kept(json: JsonObject | None) -> Shape:
    """What was kept; of what was not, nothing is known."""
    known = json or {}
    steps = cast("Iterable[Mapping[str, Any]]", known.get("steps", ()))
    shown = tuple(Shown(one["key"], one["kind"], one.get("rule")) for one in steps)
    return Shape(shown, bool(known.get("whole")), str(known.get("code", "")))
