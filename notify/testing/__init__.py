"""Rehearsals: your workflows over a store that is thrown away, providers that only remember, a clock you move.

What is here is loaded when it is first used: pytest finds the plugin of this package in every session.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from notify.testing.kit import Rehearsal as Rehearsal
    from notify.testing.opening import rehearsal as rehearsal
    from notify.testing.sent import Message as Message
    from notify.testing.sent import Sent as Sent


def __getattr__(name: str) -> Any:
    if name == "rehearsal":
        return import_module("notify.testing.opening").rehearsal
    if name == "Rehearsal":
        return import_module("notify.testing.kit").Rehearsal
    if name in ("Message", "Sent"):
        return getattr(import_module("notify.testing.sent"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
