"""Conditions from untrusted rows, checked clause by clause."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NoReturn, cast

from notify.conditions.clauses import (
    Choice,
    Clause,
    Comparison,
    Constant,
    Facts,
    Group,
    Items,
    Missing,
    Not,
    Variable,
    shown,
)
from notify.conditions.operators import CHAINED, COMPARISONS
from notify.errors import InvalidInput

ROOTS = ("subscriber", "payload", "context", "workflow", "steps")
OPERATORS = (*COMPARISONS, "and", "or", "!", "!!", "if", "var", "missing")
_BRACES = re.compile(r"\{\{([^{}]*)\}\}")
_VARIABLE = 'Write subscriber.…, payload.…, context.…, workflow.… or steps.<id>.…, such as {"var": "payload.total"}'
_EXAMPLE = 'Write one operator and its arguments, such as {">=": [{"var": "payload.total"}, 100]}'
_DEEPEST = 32


@dataclass(frozen=True, slots=True)
class Condition:
    """A stored condition, checked; asking it raises nothing, whatever the facts hold."""

    root: Clause
    #: The paths it reads, so that only those facts need be brought.
    variables: frozenset[str]

    def holds(self, facts: Facts) -> bool:
        """Whether it holds over these facts: one mapping for each of `subscriber`, `payload`, `context`, …."""
        return bool(self.root.value(facts))

    def why_not(self, facts: Facts) -> str | None:
        """None if it holds, otherwise the first clause that does not, in words.

        Such as: payload.total is 12, which is not >= 100.
        """
        return None if self.holds(facts) else self.root.told(facts, False)


def condition(raw: Any, field: str) -> Condition:
    """A condition from a JSON Logic object, or an InvalidInput naming the place inside it; `field` is its own name."""
    if not isinstance(raw, Mapping):
        raise InvalidInput(field=field, problem="must be a JSON object", remedy=_EXAMPLE)
    reading = _Reading()
    root = reading.clause(cast("Any", raw), field, 0)
    return Condition(root, frozenset(reading.variables))


@dataclass(slots=True)
class _Reading:
    """One rule being read."""

    variables: set[str] = field(default_factory=set[str])

    def clause(self, raw: Any, at: str, depth: int) -> Clause:
        if depth > _DEEPEST:
            _refuse(at, f"is nested more than {_DEEPEST} deep", "Divide the rule")
        if isinstance(raw, Mapping):
            return self._operation(cast("Mapping[Any, Any]", raw), at, depth + 1)
        if isinstance(raw, list):
            return self._items(cast("list[Any]", raw), at, depth + 1)
        if isinstance(raw, str) and "{{" in raw:
            return self._in_braces(raw, at)
        if raw is not None and not isinstance(raw, str | int | float):
            _refuse(at, f"{type(raw).__name__} is no JSON", "Write a text, a number, true, false, null or a list")
        return Constant(shown(raw), raw)

    def _items(self, raw: list[Any], at: str, depth: int) -> Clause:
        members = tuple(self._each(raw, at, depth))
        if all(isinstance(member, Constant) for member in members):
            return Constant(shown(raw), [member.value({}) for member in members])
        return Items("the list", members)

    def _each(self, raw: Sequence[Any], at: str, depth: int) -> Iterator[Clause]:
        return (self.clause(one, f"{at}[{place}]", depth) for place, one in enumerate(raw))

    def _in_braces(self, text: str, at: str) -> Clause:
        found = _BRACES.fullmatch(text.strip())
        if not found:
            _refuse(at, f"{text!r} mixes text and a variable", 'Let the text be the variable alone: "{{payload.x}}"')
        return self._variable(found[1].strip(), at)

    def _operation(self, raw: Mapping[Any, Any], at: str, depth: int) -> Clause:
        if len(raw) != 1:
            _refuse(at, f"has {len(raw)} keys, an operator has one", _EXAMPLE)
        [(operator, given)] = raw.items()
        arguments = cast("list[Any]", given) if isinstance(given, list) else [given]
        read = self._special().get(operator, self._comparison if operator in COMPARISONS else None)
        if read is None:
            _refuse(at, f"{operator!r} is no operator", f"Use one of {' '.join(OPERATORS)}")
        return read(operator, arguments, f"{at}.{operator}", depth)

    def _special(self) -> Mapping[str, Callable[[str, list[Any], str, int], Clause]]:
        return {
            "and": self._group,
            "or": self._group,
            "!": self._not,
            "!!": self._truth,
            "if": self._choice,
            "var": self._var,
            "missing": self._missing,
        }

    def _comparison(self, name: str, arguments: list[Any], at: str, depth: int) -> Clause:
        operator = COMPARISONS[name]
        if operator.takes == 3 and len(arguments) == 2 and isinstance(arguments[1], list):
            arguments = [arguments[0], *cast("list[Any]", arguments[1])]
        chained = name in CHAINED and len(arguments) == 3
        if not chained:
            _count(at, name, arguments, operator.takes, operator.takes)
        made = [
            Comparison(name, operator.test, operands, operator.holding, operator.failing, operator.negated)
            for operands in _operands(tuple(self._each(arguments, at, depth)), chained)
        ]
        return Group("and", True, tuple(made)) if chained else made[0]

    def _group(self, name: str, arguments: list[Any], at: str, depth: int) -> Clause:
        if not arguments:
            _refuse(at, "is an empty group", "Give it a condition, or leave it out")
        return Group(f"`{name}`", name == "and", tuple(self._each(arguments, at, depth)))

    def _not(self, name: str, arguments: list[Any], at: str, depth: int) -> Clause:
        _count(at, name, arguments, 1, 1)
        return Not(f"`{name}`", self.clause(arguments[0], f"{at}[0]", depth))

    def _truth(self, name: str, arguments: list[Any], at: str, depth: int) -> Clause:
        return Not(f"`{name}`", self._not(name, arguments, at, depth))

    def _choice(self, name: str, arguments: list[Any], at: str, depth: int) -> Clause:
        if len(arguments) < 2:
            _refuse(at, f"`if` takes at least 2 arguments, not {len(arguments)}", 'Write {"if": [case, then, else]}')
        *clauses, last = self._each(arguments, at, depth)
        if len(clauses) % 2:
            clauses, last = [*clauses, last], Constant("null", None)
        return Choice(f"`{name}`", tuple(zip(clauses[::2], clauses[1::2], strict=True)), last)

    def _var(self, name: str, arguments: list[Any], at: str, depth: int) -> Clause:
        _count(at, name, arguments, 1, 2)
        default = arguments[1] if len(arguments) == 2 else None
        if isinstance(default, list | Mapping):
            _refuse(
                at, "the default of a variable must be a plain value", "Write a text, a number, true, false or null"
            )
        return self._variable(arguments[0], at, default)

    def _missing(self, name: str, arguments: list[Any], at: str, depth: int) -> Clause:
        if not arguments:
            _refuse(at, "`missing` takes at least 1 argument, not 0", 'Write {"missing": ["payload.total"]}')
        places = enumerate(arguments)
        return Missing(f"`{name}`", tuple(self._variable(path, f"{at}[{place}]") for place, path in places))

    def _variable(self, path: Any, at: str, default: Any = None) -> Variable:
        parts = tuple(path.split(".")) if isinstance(path, str) else ()
        if not parts or parts[0] not in ROOTS:
            _refuse(at, f"{path!r} is no variable", _VARIABLE)
        if not all(parts) or len(parts) < (3 if parts[0] == "steps" else 2):
            _refuse(at, f"{path!r} is not the whole path of a variable", _VARIABLE)
        self.variables.add(path)
        return Variable(path, parts, default)


def _operands(clauses: tuple[Clause, ...], chained: bool) -> Sequence[tuple[Clause, ...]]:
    return list(pairwise(clauses)) if chained else [clauses]


def _count(at: str, name: str, arguments: Sequence[Any], least: int, most: int) -> None:
    if not least <= len(arguments) <= most:
        wanted = f"{least}" if least == most else f"{least} or {most}"
        noun = "argument" if most == 1 else "arguments"
        _refuse(at, f"`{name}` takes {wanted} {noun}, not {len(arguments)}", _EXAMPLE)


def _refuse(at: str, problem: str, remedy: str) -> NoReturn:
    raise InvalidInput(field=at, problem=problem, remedy=remedy)
