"""The operators of conditions that compare: how each is spelled, what it takes, and how it reads in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from notify.conditions.comparing import begins, between, contains, ends, equal, order


@dataclass(frozen=True, slots=True)
class Operator:
    """A comparison of one, two or three values; `test` answers None where it cannot be made."""

    test: Callable[..., bool | None]
    holding: str
    failing: str
    takes: int = 2
    #: Whether it says the opposite of what `test` asks.
    negated: bool = False

    def opposite(self) -> Operator:
        """The operator that says this one does not hold."""
        return Operator(self.test, self.failing, self.holding, self.takes, not self.negated)


def _ordered(name: str, fits: Callable[[int], bool]) -> Operator:
    def test(left: Any, right: Any) -> bool | None:
        found = order(left, right)
        return None if found is None else fits(found)

    return Operator(test, f"is {name}", f"is not {name}")


def _is_in(part: Any, whole: Any) -> bool | None:
    return contains(whole, part)


def _is_null(value: Any) -> bool:
    return value is None


_EQUAL = Operator(equal, "is =", "is not =")
_BEGINS = Operator(begins, "begins with", "does not begin with")
_ENDS = Operator(ends, "ends with", "does not end with")
_CONTAINS = Operator(contains, "contains", "does not contain")
_IN = Operator(_is_in, "is in", "is not in")
_NULL = Operator(_is_null, "is null", "is not null", takes=1)
_BETWEEN = Operator(between, "is between", "is not between", takes=3)

COMPARISONS = {
    "=": _EQUAL,
    "==": _EQUAL,
    "!=": _EQUAL.opposite(),
    "<": _ordered("<", lambda found: found < 0),
    ">": _ordered(">", lambda found: found > 0),
    "<=": _ordered("<=", lambda found: found <= 0),
    ">=": _ordered(">=", lambda found: found >= 0),
    "contains": _CONTAINS,
    "doesNotContain": _CONTAINS.opposite(),
    "beginsWith": _BEGINS,
    "startsWith": _BEGINS,
    "doesNotBeginWith": _BEGINS.opposite(),
    "endsWith": _ENDS,
    "doesNotEndWith": _ENDS.opposite(),
    "null": _NULL,
    "notNull": _NULL.opposite(),
    "in": _IN,
    "notIn": _IN.opposite(),
    "between": _BETWEEN,
    "notBetween": _BETWEEN.opposite(),
}
#: JSON Logic's way to say between: the value stands in the middle.
CHAINED = ("<", "<=")
