"""Mistakes that are certain from the source alone: what is refused, or does nothing, whenever it is reached."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from inspect import Signature
from typing import Any, cast

from notify.errors import InvalidInput
from notify.keys import names_a_step
from notify.steps import Delay, Send, Step
from notify.timing import length


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something that is wrong in a workflow's source, and the line of its file."""

    file: str
    line: int
    problem: str


#: What an argument is taken for whose value does not decide whether a call can be.
_WHATEVER: Mapping[str, Any] = {"key": "…", "name": "…", "step": "…", "at": "…", "unless": print, "function": print}


def refused(ask: Callable[..., Any], signature: Signature, node: ast.Call) -> str | None:
    """Why this call of a notification is refused whenever it is made; None where that is not certain.

    Only what is written in the call itself is certain: a name may stand for another value where it is looked at.
    """
    named = {part.arg: part.value for part in node.keywords if part.arg is not None}
    if len(named) < len(node.keywords) or any(isinstance(part, ast.Starred) for part in node.args):
        return None
    try:
        bound = signature.bind(None, *node.args, **named)
    except TypeError as error:
        return f"{_called(node)}: {error}"
    given = {name: _literal(name, part) for name, part in list(bound.arguments.items())[1:]}
    if any(value is _COMPUTED for value in given.values()):
        return None
    bound.arguments.update(given)
    return _why_not(ask, bound.args[1:], bound.kwargs, _called(node))


def _why_not(ask: Callable[..., Any], values: Sequence[Any], named: Mapping[str, Any], called: str) -> str | None:
    try:
        step = ask(*values, **named)
        if isinstance(step, Delay) and not _may_be_instant(step.asked):
            length(step.asked, f"delay({step.key!r})")
    except InvalidInput as error:
        return str(error)
    except Exception as error:
        return f"{called}: {type(error).__name__}: {error}"
    key = step.step if isinstance(step, Send) else step.key if isinstance(step, Step) else "…"
    return None if names_a_step(key) else f"{called}: {key!r:.40} is no key of a step. Write a text of 400 characters"


def _may_be_instant(asked: Any) -> bool:
    try:
        return isinstance(asked, int | float) or bool(datetime.fromisoformat(str(asked)))
    except ValueError:
        return False


def not_awaited(node: ast.Call) -> str:
    """What is wrong with a step that is asked for and left."""
    return f"{_called(node)} does nothing by itself. Write `await` before it"


def _called(node: ast.Call) -> str:
    return f"{ast.unparse(node.func)}({ast.unparse(node.args[0]) if node.args else ''}…)"


class _Computed:
    """Stands for what only running the workflow tells."""


_COMPUTED = _Computed()


def _literal(name: str, part: Any) -> Any:
    if isinstance(part, dict):
        values = {each: _literal("", value) for each, value in cast("dict[str, Any]", part).items()}
        return _COMPUTED if _COMPUTED in values.values() else values
    if isinstance(part, tuple):
        several = tuple(_literal("", value) for value in cast("tuple[Any, ...]", part))
        return _COMPUTED if _COMPUTED in several else several
    try:
        return ast.literal_eval(part)
    except (ValueError, TypeError, SyntaxError, RecursionError):
        return _WHATEVER.get(name, _COMPUTED)
