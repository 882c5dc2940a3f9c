"""The only place that asks the time. Tests replace it; nothing else does."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

#: Nothing that anybody names may lie further from now: what is counted on from there is an instant still.
FARTHEST = timedelta(days=366 * 100)


def _system() -> datetime:
    return datetime.now(UTC)


_source: Callable[[], datetime] = _system


def now() -> datetime:
    """The present instant, aware and in UTC."""
    return _source()


class Frozen:
    """A clock that stands still until it is moved."""

    def __init__(self, at: datetime) -> None:
        if at.tzinfo is None:
            raise ValueError("a clock needs an aware datetime")
        self.at = at.astimezone(UTC)

    def __call__(self) -> datetime:
        return self.at

    def advance(self, step: timedelta) -> datetime:
        """Move forward (or back, with a negative step); returns the new instant."""
        self.at += step
        return self.at


@contextmanager
def use(source: Callable[[], datetime]) -> Generator[None]:
    """Replace the clock of this process while the block runs."""
    global _source
    previous, _source = _source, source
    try:
        yield
    finally:
        _source = previous
