"""Reading a workflow's steps from the source of its body, and of the functions that it hands its notification to."""

from __future__ import annotations

import ast
import hashlib
import inspect
import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from types import CodeType, FunctionType
from typing import Any, cast

from notify.model import Channel, Event, EventKind, Subscriber
from notify.notification import Notification
from notify.shapes.mistakes import Mistake, not_awaited, refused
from notify.shapes.shape import OPEN, Shape, Shown
from notify.shapes.values import NOTIFICATION, UNKNOWN, Scope, source, text
from notify.steps import Burst, Collected, Digest, Step

log = logging.getLogger("notify.shapes")
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_NOTHING = Event("", EventKind.EVENT, "", {}, _LONG_AGO, _LONG_AGO)
#: A notification that is nobody's: it is only asked for steps.
_NOBODY_S: Notification[Any] = Notification(
    id="", event=_NOTHING, payload=None, subscriber=Subscriber(""), started_at=_LONG_AGO, parameters={}
)
#: What a notification is asked for that is a step.
METHODS: Mapping[str, inspect.Signature] = {
    name: inspect.signature(member)
    for name, member in vars(Notification).items()
    if not name.startswith("_") and str(getattr(member, "__annotations__", {}).get("return")).startswith("Step[")
}
_CHANNELS = frozenset(channel.value for channel in Channel)
#: Steps that are of the kind of another one.
_KINDS = {"sleep_until": "sleep"}
#: Steps that are named after what they are about, unless they are given a key.
_NAMED_AFTER = ("emit", "trigger", "invoke")


def read(body: Callable[..., Any], parameters: Mapping[str, Any]) -> Shape:
    """The shape of a workflow with this body and these values of its parameters; it never raises."""
    reading = _Reading(parameters)
    try:
        reading.follow(body, [NOTIFICATION], {})
    except Exception:
        # Names of the author's are looked at, and what they stand for may do anything.
        log.warning("the source of %s cannot be read", getattr(body, "__qualname__", body), exc_info=True)
        reading.whole = False
    mistakes = (*reading.mistakes, *reading.asking_in_vain())
    awaits = frozenset(reading.awaits)
    return Shape(tuple(reading.steps), reading.whole, reading.code.hexdigest(), mistakes, awaits)


class _Reading:
    """What has been read so far."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self.parameters = parameters
        self.steps: list[Shown] = []
        self.whole = True
        self.mistakes: list[Mistake] = []
        self.looks: list[tuple[str, Mistake]] = []
        self.awaits: set[str] = set()
        self.code = hashlib.sha256()
        self.groups = 0
        self.group = 0
        self.branches = 0
        self.branch: tuple[int, ...] = ()
        self._within: list[FunctionType] = []

    def follow(self, called: Any, values: Sequence[Any], named: Mapping[str, Any]) -> None:
        """Read a function that is called with these values; one that cannot be read leaves the shape in part."""
        function = inspect.unwrap(called) if callable(called) else None
        given = _given(function, values, named) if isinstance(function, FunctionType) else None
        body = source(function) if isinstance(function, FunctionType) else None
        if not isinstance(function, FunctionType) or body is None or given is None:
            self.whole = False
            return
        if function in self._within:
            return
        self.code.update(b"\0".join(ast.dump(statement).encode() for statement in body))
        self._within.append(function)
        self._read(Scope(function, body, given, self.parameters), body, function)
        self._within.pop()

    @contextmanager
    def together(self) -> Generator[None]:
        """What is read within is asked for in one `n.all`."""
        before, self.groups = self.group, self.groups + 1
        self.group = self.groups
        yield
        self.group = before

    @contextmanager
    def apart(self) -> Generator[None]:
        """What is read within may be left out."""
        before, self.branches = self.branch, self.branches + 1
        self.branch = (*before, self.branches)
        yield
        self.branch = before

    def asking_in_vain(self) -> list[Mistake]:
        """Facts about messages that the workflow surely does not send to the inbox."""
        shape = Shape(self.steps, self.whole)
        return [mistake for step, mistake in self.looks if shape.lacks(f"{step}.in_app", "in_app")]

    def _read(self, scope: Scope, body: Sequence[ast.stmt], function: FunctionType) -> None:
        self.whole = self.whole and not scope.hides
        visitor = _Visitor(self, scope, function.__code__)
        for statement in body:
            visitor.visit(statement)


def _given(function: FunctionType, values: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any] | None:
    """The values of a function's arguments; None where the call cannot be told, or hides the notification in it."""
    signature = inspect.signature(function)
    try:
        bound = signature.bind_partial(*values, **named)
    except TypeError:
        return None
    wide = [each for each in signature.parameters.values() if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    if any(NOTIFICATION in _within(bound.arguments.get(each.name, ())) for each in wide):
        return None
    bound.apply_defaults()
    return dict(bound.arguments)


def _within(gathered: Any) -> list[Any]:
    return list(cast("dict[str, Any]", gathered).values() if isinstance(gathered, dict) else gathered)


#: The parts of the code that may be left out, by what they are parts of.
_ARMS: Mapping[type[ast.AST], Sequence[str]] = dict.fromkeys(
    (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.match_case), ("body", "orelse")
)


class _Visitor(ast.NodeVisitor):
    """Finds, in the order of the source, where the notification is asked for steps or handed on."""

    def __init__(self, reading: _Reading, scope: Scope, code: CodeType) -> None:
        self._reading = reading
        self._scope = scope
        self._code = code

    def visit_Expr(self, node: ast.Expr) -> None:
        call = node.value
        if isinstance(call, ast.Call) and self._asks(call) in {*METHODS, "all"}:
            self._reading.mistakes.append(self._mistake(call, not_awaited(call)))
        self.generic_visit(node)

    def _asks(self, call: ast.Call) -> str | None:
        """What the notification is asked for by a call; None where it is not asked, or may be another thing."""
        if not isinstance(call.func, ast.Attribute) or self._scope.hides:
            return None
        return call.func.attr if self._scope.value(call.func.value) is NOTIFICATION else None

    def _mistake(self, node: ast.Call, problem: str) -> Mistake:
        return Mistake(self._code.co_filename, self._code.co_firstlineno + node.lineno - 1, problem)

    def generic_visit(self, node: ast.AST) -> None:
        for name, value in ast.iter_fields(node):
            parts = cast("list[Any]", value) if isinstance(value, list) else [value]
            with self._reading.apart() if name in _ARMS.get(type(node), ()) else nullcontext():
                for part in parts:
                    if isinstance(part, ast.AST):
                        self.visit(part)

    def visit_Call(self, node: ast.Call) -> None:
        of = self._scope.value(node.func.value) if isinstance(node.func, ast.Attribute) else None
        parts = [*node.args, *(keyword.value for keyword in node.keywords)]
        others = [part for part in parts if self._scope.value(part) is not NOTIFICATION]
        together = of is NOTIFICATION and isinstance(node.func, ast.Attribute) and node.func.attr == "all"
        with self._reading.together() if together else nullcontext():
            for part in others:
                self.visit(part)
        if of is NOTIFICATION and isinstance(node.func, ast.Attribute):
            self._ask(node.func.attr, node)
        elif len(others) < len(parts):
            self._hand_on(node)
        else:
            self.visit(node.func)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if self._scope.value(node.value) is not NOTIFICATION:
            self.generic_visit(node)
        elif node.attr in METHODS:
            self._reading.whole = False

    def visit_Name(self, node: ast.Name) -> None:
        if self._scope.value(node) is NOTIFICATION:
            self._reading.whole = False

    def _ask(self, method: str, node: ast.Call) -> None:
        if method in METHODS:
            shown = _shown(method, *self._values(node))
            where = {"group": self._reading.group, "branches": self._reading.branch}
            self._reading.steps += [replace(one, **where) for one in shown]

            self._look_at(method, node)

    def _look_at(self, method: str, node: ast.Call) -> None:
        if self._asks(node) is None:
            return
        if problem := refused(getattr(_NOBODY_S, method), METHODS[method], node):
            self._reading.mistakes.append(self._mistake(node, problem))
        elif method == "wait_for_event":
            self._reading.awaits.add(text(_bound(method, *self._values(node)).get("name", UNKNOWN)))
        elif method in ("is_read", "is_seen"):
            step = text(_bound(method, *self._values(node)).get("step", UNKNOWN))
            problem = f"{method}({step!r}): the workflow has no in-app message of this step. Ask about one that it has"
            self._reading.looks += [] if OPEN in step else [(step, self._mistake(node, problem))]

    def _hand_on(self, node: ast.Call) -> None:
        values, named, told = self._values(node)
        self._reading.follow(self._scope.value(node.func) if told else None, values, named)

    def _values(self, node: ast.Call) -> tuple[list[Any], dict[str, Any], bool]:
        """The values of the arguments, and whether these are all."""
        told = not any(isinstance(part, ast.Starred) for part in node.args)
        values = [self._scope.value(part) for part in node.args] if told else []
        named = {part.arg: self._scope.value(part.value) for part in node.keywords if part.arg is not None}
        return values, named, told and len(named) == len(node.keywords)


# --- one step -----------------------------------------------------------------------------------


def _shown(method: str, values: Sequence[Any], named: Mapping[str, Any], told: bool) -> list[Shown]:
    asked = _bound(method, values, named, told)
    key = _key(method, asked)
    if method == "digest":
        return _digest(key, asked, told)
    return [Shown(key, method if method in _CHANNELS else _KINDS.get(method, method.replace("_", "")))]


def _bound(method: str, values: Sequence[Any], named: Mapping[str, Any], told: bool) -> Mapping[str, Any]:
    try:
        return METHODS[method].bind_partial(None, *values, **named).arguments
    except TypeError:
        return {}


def _key(method: str, asked: Mapping[str, Any]) -> str:
    if method.startswith("is_"):
        return text(asked.get("at", UNKNOWN))
    first = text(asked.get(list(METHODS[method].parameters)[1], UNKNOWN))
    if method in _NAMED_AFTER:
        key = asked.get("key")
        return f"{method}:{first}" if key is None else text(key)
    return f"{first}.{method}" if method in _CHANNELS else first


def _digest(key: str, asked: Mapping[str, Any], told: bool) -> list[Shown]:
    """The digest, and the steps that it asks for itself once it closed."""
    rest = {name: value for name, value in asked.items() if name not in ("self", "name", "key", "unless", "length")}
    rest |= asked.get("length", {})
    made = _made(key, rest) if told else None
    plain = Digest(key, extend=rest.get("extend_to_schedule", False) is not False) if made is None else made
    unless = print if asked.get("unless") is not None else None
    rule = {"mode": made.mode.value, **made.rule} if made is not None else None
    first, *others = _asked_in_turn(plain, unless)
    return [Shown(first.key, first.kind, rule), *(Shown(one.key, one.kind) for one in others)]


def _made(key: str, rest: Mapping[str, Any]) -> Digest | None:
    """The digest these words ask for, or None where they do not say it all."""
    if any(value is UNKNOWN for value in rest.values()):
        return None
    try:
        step = _NOBODY_S.digest(key, **rest)
    except Exception:
        return None
    return step if isinstance(step, Digest) else None


def _asked_in_turn(digest: Digest, unless: Callable[..., Any] | None) -> list[Step[Any]]:
    burst = Burst([Collected("", "", _LONG_AGO, {})])
    awaiting = Digest(digest.key, extend=digest.extend, unless=unless).__await__()
    asked = [next(awaiting)]
    try:
        while True:
            asked.append(awaiting.send(burst))
    except StopIteration:
        return asked
