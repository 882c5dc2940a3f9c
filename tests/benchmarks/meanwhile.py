"""What is looked at many times while something else is measured: a process's memory, the machine's pace."""

from __future__ import annotations

import json
import threading
import time
from abc import ABC, abstractmethod
from statistics import mean
from typing import Self

import psutil

MEGABYTE = 2**20
#: What the pace is told by: a little of what everything here does most of the time.
_WORK = [{"id": str(number), "at": f"2026-01-15T12:00:{number % 60:02}Z", "place": number} for number in range(400)]


def resident(pid: int) -> float:
    """Megabytes of memory a process has now; 0 once it is gone."""
    try:
        return psutil.Process(pid).memory_info().rss / MEGABYTE
    except psutil.NoSuchProcess:
        return 0.0


class Meanwhile(ABC):
    """A thread that looks, waits and looks again for the length of the block."""

    interval: float

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._looking, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _looking(self) -> None:
        while True:
            self.look()
            if self._ended.wait(self.interval):
                return

    @abstractmethod
    def look(self) -> None:
        """Once."""


class Peak(Meanwhile):
    """The most memory a process had."""

    interval = 0.05

    def __init__(self, pid: int) -> None:
        super().__init__()
        self.pid = pid
        self.megabytes = 0.0

    def look(self) -> None:
        """Keep it if it is more than before."""
        self.megabytes = max(self.megabytes, resident(self.pid))


class Pace(Meanwhile):
    """How slow the machine is: seconds that one small piece of work takes.

    A shared machine is a half slower in one minute than in another, and may stand still for its other guests. What
    takes twice as long while this does too has not grown.
    """

    interval = 0.1

    def __init__(self) -> None:
        super().__init__()
        self._taken: list[float] = []

    def look(self) -> None:
        """Do the piece of work."""
        began = time.perf_counter()
        json.loads(json.dumps(_WORK))
        self._taken.append(time.perf_counter() - began)

    @property
    def seconds(self) -> float:
        """Of all that were done, the mean."""
        return mean(self._taken)
