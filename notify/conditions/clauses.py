"""The clauses a condition is made of: each has a value over facts, and says in words why it held or did not."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

Facts = Mapping[str, Any]
#: Characters of a value that are shown.
_SHOWN = 80
#: A dict is known at once, other mappings after a search.
_OBJECT = (dict, Mapping)


@dataclass(frozen=True, slots=True)
class Clause(ABC):
    """A part of a condition under the name it has in sentences. Null, false, 0 and what is empty count as false."""

    name: str

    @abstractmethod
    def value(self, facts: Facts) -> Any:
        """What it comes to."""

    def subject(self, facts: Facts) -> str:
        """How a sentence about it begins."""
        return f"{self.name} is {shown(self.value(facts))}, which"

    def beside(self, facts: Facts) -> str:
        """How a sentence about something else names it."""
        return f"{self.name} ({shown(self.value(facts))})"

    def told(self, facts: Facts, held: bool) -> str:
        """Why it held, or why it did not, whichever `held` says."""
        return f"{self.name} is {shown(self.value(facts))}"


def shown(value: Any) -> str:
    """A value as a sentence shows it: JSON, cut where it is long."""
    try:
        text = json.dumps(value, default=str, ensure_ascii=False)
    except (ValueError, TypeError, RecursionError):
        return "something that is no JSON"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


@dataclass(frozen=True, slots=True)
class Constant(Clause):
    """A value written into the rule."""

    given: Any

    def value(self, facts: Facts) -> Any:
        return self.given

    def subject(self, facts: Facts) -> str:
        return self.name

    def beside(self, facts: Facts) -> str:
        return self.name

    def told(self, facts: Facts, held: bool) -> str:
        return f"the rule itself says {self.name}"


@dataclass(frozen=True, slots=True)
class Variable(Clause):
    """A fact by its path; null, or the rule's own default, where there is none."""

    path: tuple[str, ...]
    default: Any = None

    def value(self, facts: Facts) -> Any:
        found = _at(facts, self.path)
        return self.default if found is None else found


def _at(facts: Any, path: Sequence[str]) -> Any:
    for name in path:
        if isinstance(facts, _OBJECT):
            facts = cast("Mapping[str, Any]", facts).get(name)
        elif isinstance(facts, list | tuple) and name.isdecimal() and len(name) < 10:
            members = cast("Sequence[Any]", facts)
            facts = members[int(name)] if int(name) < len(members) else None
        else:
            return None
    return facts


@dataclass(frozen=True, slots=True)
class Items(Clause):
    """A list of the rule with variables in it."""

    members: tuple[Clause, ...]

    def value(self, facts: Facts) -> Any:
        return [member.value(facts) for member in self.members]


@dataclass(frozen=True, slots=True)
class Comparison(Clause):
    """Values compared. One that cannot be made (with null, or kinds without an order) does not hold, negated or not."""

    test: Callable[..., bool | None]
    operands: tuple[Clause, ...]
    holding: str
    failing: str
    negated: bool = False

    def value(self, facts: Facts) -> Any:
        answer = self.test(*[operand.value(facts) for operand in self.operands])
        return answer is not None and answer is not self.negated

    def told(self, facts: Facts, held: bool) -> str:
        first, *others = self.operands
        if not others:
            return f"{first.name} is {shown(first.value(facts))}"
        return f"{first.subject(facts)} {self._words(facts, held)} {' and '.join(one.beside(facts) for one in others)}"

    def _words(self, facts: Facts, held: bool) -> str:
        if held:
            return self.holding
        if self.negated and self.test(*[operand.value(facts) for operand in self.operands]) is None:
            return f"cannot be asked whether it {self.failing}"
        return self.failing


@dataclass(frozen=True, slots=True)
class Not(Clause):
    """The opposite of a clause."""

    clause: Clause

    def value(self, facts: Facts) -> Any:
        return not self.clause.value(facts)

    def told(self, facts: Facts, held: bool) -> str:
        return self.clause.told(facts, not held)


@dataclass(frozen=True, slots=True)
class Group(Clause):
    """Clauses of which all have to hold, or one; its value is that of the clause that decided."""

    every: bool
    clauses: tuple[Clause, ...]

    def value(self, facts: Facts) -> Any:
        value: Any = None
        for clause in self.clauses:
            value = clause.value(facts)
            if bool(value) is not self.every:
                break
        return value

    def told(self, facts: Facts, held: bool) -> str:
        if held is self.every:
            return ", and ".join(clause.told(facts, held) for clause in self.clauses)
        deciding = next(clause for clause in self.clauses if bool(clause.value(facts)) is held)
        return deciding.told(facts, held)


@dataclass(frozen=True, slots=True)
class Choice(Clause):
    """The clause behind the first case that holds, otherwise the last one; null where there is none."""

    cases: tuple[tuple[Clause, Clause], ...]
    otherwise: Clause

    def value(self, facts: Facts) -> Any:
        return self._chosen(facts).value(facts)

    def told(self, facts: Facts, held: bool) -> str:
        return self._chosen(facts).told(facts, held)

    def _chosen(self, facts: Facts) -> Clause:
        return next((then for case, then in self.cases if case.value(facts)), self.otherwise)


@dataclass(frozen=True, slots=True)
class Missing(Clause):
    """The paths that have no value: neither anything nor an empty text."""

    variables: tuple[Variable, ...]

    def value(self, facts: Facts) -> Any:
        return [one.name for one in self.variables if one.value(facts) in (None, "")]

    def told(self, facts: Facts, held: bool) -> str:
        named = self.value(facts) if held else [one.name for one in self.variables]
        return f"{', '.join(named)} {'is' if len(named) == 1 else 'are'} {'missing' if held else 'there'}"
