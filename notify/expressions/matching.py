"""Expressions read, checked and asked: a bare path that two events share, or CEL over both of them."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

from notify.errors import InvalidInput
from notify.expressions.seen import FIELDS, MISSING, canonical, path_value, seen
from notify.expressions.syntax import CANDIDATE, OWN, Wanted, bare_path, bound, equal_paths, picked, tokens, wanted
from notify.model import Event

if TYPE_CHECKING:  # it takes a quarter of a second to load, and bare paths do without
    import cel

log = logging.getLogger("notify.expressions")

LONGEST = 2000
_REMEDY = (
    'Write a path that both events share, such as "data.userId", or a comparison of both, '
    'such as event.data.userId == async.data.userId && async.data.plan == "pro"'
)
_PARTS_OF_TIME = "FullYear Month Date DayOfMonth DayOfWeek DayOfYear Hours Minutes Seconds Milliseconds"
_FUNCTIONS = {
    *("size", "contains", "startsWith", "endsWith", "matches", "timestamp", "duration"),
    *("string", "int", "uint", "double", "bytes", "type", "dyn"),
    *(f"get{part}" for part in _PARTS_OF_TIME.split()),
}
_EVERYTHING: Wanted = {OWN: None, CANDIDATE: None}
_PROBLEM = re.compile(r"ERROR: <input>:\d+:(\d+): (?:Syntax error: )?(.*?)(?: expecting \{.*)?$", re.MULTILINE)


@dataclass(slots=True, eq=False)
class Expression:
    """Which candidates belong to an event. Asking raises nothing: what is missing or goes wrong does not hold."""

    text: str
    #: The path of the original event and that of the candidate whose values have to be equal, where that is certain.
    path: tuple[str, str] | None
    _program: cel.Program | None = None
    _wanted: Wanted = field(default_factory=_EVERYTHING.copy)
    _reported: bool = False

    def holds(self, own: Event, candidate: Event) -> bool:
        """Whether the candidate belongs to the original event."""
        if self.path is not None:
            key = self.own_key(own)
            if key is None or key != self.candidate_key(candidate):
                return False
        return self._program is None or self._answer(self._program, own, candidate)

    def own_key(self, event: Event) -> str | None:
        """The value of the original event that candidates must have, as JSON text; None if no candidate can match.

        "" where the expression asks for no equal value, so that every candidate has to be asked.
        """
        return "" if self.path is None else _key(event, self.path[0])

    def candidate_key(self, event: Event) -> str | None:
        """The same of a candidate: None if it cannot match."""
        return "" if self.path is None else _key(event, self.path[1])

    def _answer(self, program: cel.Program, own: Event, candidate: Event) -> bool:
        try:
            answer = program.execute(picked({OWN: seen(own), CANDIDATE: seen(candidate)}, self._wanted))
        except KeyError:
            return False
        except Exception as error:
            self._report(str(error))
            return False
        if not isinstance(answer, bool):
            self._report(f"it is {type(answer).__name__}, neither true nor false")
        return answer is True

    def _report(self, problem: str) -> None:
        if not self._reported:
            self._reported = True
            log.warning("the expression %s does not hold where it cannot be asked: %s", self.text, problem)


def _key(event: Event, path: str) -> str | None:
    value = path_value(event, path)
    return None if value is MISSING else canonical(value)


def expression(text: Any, field: str) -> Expression:
    """An expression, or an InvalidInput naming `field`. Reading the same text again costs nothing.

    - A path, such as "data.userId": both events have an equal value there. "taskId" is the path data.taskId.
    - CEL in which `event` is the original and `async` the candidate, each with name, data, user, ts (Unix ms), id, v:
      `event.data.userId == async.data.userId && async.data.plan == "pro"`.

    Values are equal as JSON is: 1 is 1.0 but not "1" or true, null is null, and what is missing equals nothing.
    """
    if not isinstance(text, str) or not text.strip():
        _refuse(field, "must be a text", _REMEDY)
    if len(text) > LONGEST:
        _refuse(field, f"is longer than {LONGEST} characters", "Shorten it")
    return _read(text.strip(), field)


@lru_cache(1024)
def _read(text: str, field: str) -> Expression:
    if path := bare_path(text):
        _check_fields({OWN: {path.partition(".")[0]: None}}, field)
        return Expression(text, (path, path))
    program = _compiled(text, field)
    words = tokens(text)
    if words is None:
        _check_functions(program, field)
        return Expression(text, None, program)
    _check_variables(program, bound(words), field)
    _check_functions(program, field)
    _check_fields(wanted(words), field)
    pair, alone = equal_paths(words)
    return Expression(text, pair, None if alone else program, wanted(words))


def _compiled(text: str, field: str) -> cel.Program:
    try:
        return import_module("cel").compile(text)
    except ValueError as error:
        found = _PROBLEM.search(str(error))
        problem = f"character {found[1]}: {found[2]}" if found else str(error)
        raise InvalidInput(field=field, problem=f"{text} cannot be read, {problem}", remedy=_REMEDY) from None


def _check_variables(program: cel.Program, bound: set[str], field: str) -> None:
    for name in program.variables():
        if name not in bound and name not in (OWN, CANDIDATE):
            _refuse(field, f"{name} is unknown; there are `event` and `async`", _REMEDY)


def _check_functions(program: cel.Program, field: str) -> None:
    for name in program.functions():
        if name.isidentifier() and not name.startswith("_") and name not in _FUNCTIONS:
            _refuse(field, f"{name}(…) is no function of CEL", f"Use one of {', '.join(sorted(_FUNCTIONS))}")


def _check_fields(read: Wanted, field: str) -> None:
    for root, below in read.items():
        for name in below or ():
            if name not in FIELDS:
                problem = f"{root}.{name} is no field of an event, which has {', '.join(FIELDS)}"
                _refuse(field, problem, f"Write {root}.data.{name}")


def _refuse(field: str, problem: str, remedy: str) -> NoReturn:
    raise InvalidInput(field=field, problem=problem, remedy=remedy)
