"""How a process that lives for months keeps the memory it needs, and no more."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from typing import Any

#: Of GNU's C library: how many arenas there may be. Each keeps what it once needed, and texts made by one thread are
#: given up by another.
_ARENA_MAX, _ARENAS = -8, 2


def few_arenas() -> None:
    """Before threads are started."""
    _c("mallopt", lambda mallopt: mallopt(_ARENA_MAX, _ARENAS))


def settle() -> None:
    """What was loaded stays for good: looking through it again and again took a tenth of the time of a batch."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


def give_back() -> None:
    """What is free goes to the system: after a batch of a thousand e-mails that is a third of everything."""
    _c("malloc_trim", lambda trim: trim(0))


def _c(name: str, call: Callable[[Any], object]) -> None:
    """Call a function of the C library where there is one of that name; other libraries do without."""
    function = getattr(ctypes.CDLL(None), name, None)
    if function is not None:
        call(function)
