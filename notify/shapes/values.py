"""What an expression in a function's source stands for, as far as that can be told without running it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping, Sequence
from enum import Enum
from types import FunctionType, ModuleType
from typing import Any, cast

from notify.shapes.shape import OPEN


class Stand(Enum):
    """What stands for a value that is not there."""

    UNKNOWN = 0
    NOTIFICATION = 1


UNKNOWN, NOTIFICATION = Stand


class Scope:
    """The names of one function: what it was given, what it assigns itself, and what surrounds it."""

    def __init__(
        self, function: FunctionType, body: Sequence[ast.stmt], given: Mapping[str, Any], parameters: Mapping[str, Any]
    ) -> None:
        self._around = function.__globals__ | _closed_over(function)
        self._parameters = parameters
        self._own = _assigned(body)
        self._given = given

    @property
    def hides(self) -> bool:
        """Whether the notification may go by another name, or another thing by its name."""
        return any(value is NOTIFICATION and name in self._own for name, value in self._given.items())

    def value(self, node: ast.expr) -> Any:
        """The value, NOTIFICATION, or UNKNOWN."""
        match node:
            case ast.Constant(value=value):
                return value
            case ast.JoinedStr(values=parts):
                return "".join(self._part(part) for part in parts)
            case ast.Name(id=name):
                return self._named(name)
            case ast.Attribute(value=base, attr=name):
                return self._attribute(self.value(base), name)
            case ast.Subscript(value=base, slice=index):
                return _item(self.value(base), self.value(index))
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                values = [self.value(part) for part in parts]
                return UNKNOWN if any(value is UNKNOWN for value in values) else values
            case _:
                return UNKNOWN

    def _part(self, part: ast.expr) -> str:
        if isinstance(part, ast.FormattedValue):
            plain = part.conversion == -1 and part.format_spec is None
            return text(self.value(part.value)) if plain else OPEN
        return text(self.value(part))

    def _named(self, name: str) -> Any:
        if name in self._own:
            return UNKNOWN
        return self._given[name] if name in self._given else self._around.get(name, UNKNOWN)

    def _attribute(self, base: Any, name: str) -> Any:
        if base is NOTIFICATION:
            return self._parameters if name == "parameters" else UNKNOWN
        return getattr(base, name, UNKNOWN) if isinstance(base, ModuleType | type) else UNKNOWN


def text(value: Any) -> str:
    """A value as a part of a key."""
    return str(value) if isinstance(value, str | int) else OPEN


def _item(base: Any, index: Any) -> Any:
    if isinstance(base, Mapping) and isinstance(index, str | int):
        return cast("Mapping[Any, Any]", base).get(index, UNKNOWN)
    return UNKNOWN


def _closed_over(function: FunctionType) -> dict[str, Any]:
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return {name: cell.cell_contents for name, cell in cells if _is_set(cell)}


def _is_set(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


def _assigned(body: Sequence[ast.stmt]) -> frozenset[str]:
    """The names a function binds itself, those of functions within it among them."""
    names: set[str] = set()
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                names.add(node.id)
            elif isinstance(node, ast.arg):
                names.add(node.arg)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(node.name)
    return frozenset(names)


def source(function: FunctionType) -> list[ast.stmt] | None:
    """The statements of a function, without what it says of itself; None where they cannot be read."""
    try:
        [node] = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return None
    return node.body[1:] if ast.get_docstring(node) is not None else node.body
