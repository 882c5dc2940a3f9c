"""Facts of the application: named ports, the events themselves as a source, and functions that ask for everybody."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Generic, Protocol, TypeVar

import pydantic

from notify.errors import InvalidInput
from notify.model import Event

T = TypeVar("T")


def bulk(function: T) -> T:
    """Mark a function that takes the lists of all callers' arguments and returns a list: one query for everybody."""
    function.__notify_bulk__ = True  # type: ignore[attr-defined]
    return function


def is_bulk(function: Callable[..., Any]) -> bool:
    """Whether the function was marked with `bulk`."""
    return getattr(function, "__notify_bulk__", False)


class History(Protocol):
    """The events taken in so far, as a source of facts."""

    def about(self, names: Sequence[str], subjects: Sequence[str]) -> Mapping[str, Sequence[Event]]:
        """Accepted events of these names about each subject, oldest first."""
        ...


_history: ContextVar[History | None] = ContextVar("notify_history", default=None)


def history() -> History:
    """The stored events, inside a resolver or a function given to `n.run`."""
    found = _history.get()
    if found is None:
        raise RuntimeError("history() is available in resolvers and in functions given to n.run")
    return found


@contextmanager
def with_history(source: History) -> Generator[None]:
    """Make `source` what `history()` answers while the block runs."""
    token = _history.set(source)
    try:
        yield
    finally:
        _history.reset(token)


class Port(Generic[T]):
    """A named source of facts. NOTIFY_PORT_<NAME>="module:attribute" puts the application's own in its place."""

    def __init__(self, name: str, default: T) -> None:
        self.name = name
        self.default = default

    def __call__(self) -> T:
        """The implementation in force."""
        variable = f"NOTIFY_PORT_{self.name.upper()}"
        target = os.environ.get(variable)
        if not target:
            return self.default
        try:
            return pydantic.TypeAdapter(pydantic.ImportString[Any]).validate_python(target)
        except pydantic.ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise InvalidInput(field=variable, problem=problem, remedy='Write "module:attribute"') from None
