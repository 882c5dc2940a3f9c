"""The application of the digests: `python -m tests.benchmarks.digest_load <events> <name> <first instant>`.

A hundred events a window, a page that somebody watches, and ten pages a person. The windows take turns, so that the
events of one lie as far apart as they can: those that are matched together belong to different windows. They happened
within ten minutes.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from notify.client import Notify
from tests.benchmarks.ending import orderly

EVENT = "page/changed"
WINDOW, PAGES = 100, 10
SPAN = timedelta(minutes=10)
#: Events of one call: what a call returns grows with them.
CALL = 10_000


def windows(events: int) -> int:
    """How many windows so many events fill."""
    return events // WINDOW


def people(events: int) -> int:
    """How many watch the pages."""
    return windows(events) // PAGES


def changes(numbers: range, events: int, name: str, first: datetime) -> Iterator[dict[str, Any]]:
    """Some of so many events."""
    for number in numbers:
        page, person = divmod(number % windows(events), people(events))
        data = {
            "page": f"{name} {page}",
            "watcher": f"person-{person:07d}",
            "author": f"Bo Berg the {number // windows(events) + 1}th",
            "text": f"A sentence of the usual length about what changed on page {page}, number {number}.",
        }
        yield {"name": EVENT, "data": data, "ts": first + SPAN * (number / events)}


def main() -> None:
    """Say all of it; what it took is printed."""
    orderly()
    events, name, first = int(sys.argv[1]), sys.argv[2], datetime.fromisoformat(sys.argv[3])
    with Notify.from_env() as notify:
        notify.registry.listeners()
        began, used = time.monotonic(), time.process_time()
        for start in range(0, events, CALL):
            numbers = range(start, min(start + CALL, events))
            notify.emit_many(changes(numbers, events, name, first))
        print(json.dumps({"seconds": time.monotonic() - began, "cpu": time.process_time() - used}))


if __name__ == "__main__":
    main()
