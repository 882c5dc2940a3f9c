"""What Prefect's flow engine does for each run as if the run had a process of its own, done once for the worker."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from time import monotonic
from typing import Any, TypeVar

from prefect import flow_engine, results

T = TypeVar("T")
#: Each flow run would take SIGTERM for itself and raise in the middle of our loop: the worker ends runs itself. And
#: each would hold the loop up while a thread connects to the server to hear of suspensions, and again (up to 0.2 s)
#: while that thread ends: the worker looks at the states of its runs once a second anyway.
_ALONE = ("capture_sigterm", "observe_flow_run_suspension")
#: Each would ask the server, and hold the loop up for the answer and for a TLS context of its own, where results are
#: kept by default. Ours keep none; for others' the answer is good for so many seconds.
_ONCE, _GOOD = "_get_default_result_storage", 60.0


@contextmanager
def warm() -> Generator[None]:
    """Flow runs of this process share it for the length of the block."""
    names: dict[str, Any] = flow_engine.__dict__
    before = {name: names[name] for name in _ALONE}
    names.update(dict.fromkeys(_ALONE, _nothing))
    asks: dict[str, Any] = results.__dict__
    asking = asks[_ONCE]
    asks[_ONCE] = _remembered(asking)
    try:
        yield
    finally:
        names.update(before)
        asks[_ONCE] = asking


def _nothing(*_: object) -> nullcontext[None]:
    return nullcontext()


def _remembered(ask: Callable[[], T]) -> Callable[[], T]:
    """`ask`, asked again when its last answer is no longer good."""
    found: list[tuple[float, T]] = []

    def answer() -> T:
        if not found or monotonic() - found[0][0] > _GOOD:
            found[:] = [(monotonic(), ask())]
        return found[0][1]

    return answer
