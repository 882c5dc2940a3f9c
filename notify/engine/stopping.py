"""Asking this process to stop: whoever serves says how."""

from __future__ import annotations

from collections.abc import Callable

_stops: list[Callable[[], None]] = []
_asked = False


def on_stop(stop: Callable[[], None]) -> None:
    """Call `stop` when the process is asked to end."""
    _stops.append(stop)


def ask() -> bool:
    """Ask politely; False when that was done before, or when nobody listens yet."""
    global _asked
    if _asked or not _stops:
        return False
    _asked = True
    for stop in _stops:
        stop()
    return True
