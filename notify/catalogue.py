"""The catalogue of events, and reading files for what they define."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import pydantic


@dataclass(frozen=True)
class EventType:
    """An event of the catalogue: its name, its model, and the field that says what it is about."""

    name: str
    model: type[pydantic.BaseModel]
    subject: str | None = None


def event(name: str, *, subject: str | None = None) -> Callable[[type[Any]], type[Any]]:
    """Add a pydantic model to the catalogue: events of this name are validated by it when they are emitted."""

    def register(model: type[Any]) -> type[Any]:
        collect(EventType(name, model, subject))
        return model

    return register


_collecting: ContextVar[list[Any] | None] = ContextVar("notify_collecting", default=None)


def collect(found: Any) -> None:
    """Register a workflow or an event type with whoever reads definitions now."""
    collected = _collecting.get()
    if collected is not None:
        collected.append(found)


@contextmanager
def collecting() -> Generator[list[Any]]:
    """What is registered while the block runs."""
    found: list[Any] = []
    token = _collecting.set(found)
    try:
        yield found
    finally:
        _collecting.reset(token)


def is_collecting() -> bool:
    """True while workflow files are read for their definitions only."""
    return _collecting.get() is not None
