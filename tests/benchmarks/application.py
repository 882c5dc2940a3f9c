"""The application that asks for notifications: a process of its own, so that its CPU is counted apart."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from notify.client import Notify
from tests.benchmarks import crowd

WORKFLOW = "task-assigned"


@dataclass(frozen=True, slots=True)
class Asked:
    """One call: for whom, and the monotonic instants before and after it."""

    person: str
    before: float
    after: float


def timed(ask: Callable[[str], object], person: str) -> Asked:
    """Make the call."""
    before = time.monotonic()
    ask(person)
    return Asked(person, before, time.monotonic())


def serve(ask_all: Callable[[list[str], int], Iterable[Asked]]) -> None:
    """Each line read, `<people> <threads>`, is a load; its answer is a line of JSON."""
    print("ready", flush=True)
    for line in sys.stdin:
        people, threads = (int(word) for word in line.split())
        asked = ask_all(crowd.ids(people), threads)
        print(json.dumps([(one.person, one.before, one.after) for one in asked]), flush=True)


def from_threads(ask: Callable[[str], object]) -> Callable[[list[str], int], list[Asked]]:
    """One call a person, from some threads."""

    def ask_all(people: list[str], threads: int) -> list[Asked]:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(lambda person: timed(ask, person), people))

    return ask_all


class Application:
    """The process, for the length of a `with` block."""

    def __init__(self, environment: Mapping[str, str], *command: str) -> None:
        """`command` is a module that calls `serve`, and its arguments; this one, with `Notify.trigger`, by default."""
        self.environment = environment
        self.command = [sys.executable, "-m", *(command or (__spec__.name,))]

    def __enter__(self) -> Application:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(self.command, env=self.environment, stdin=pipe, stdout=pipe, text=True)
        try:
            while self._read() != "ready\n":
                continue
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def ask(self, people: int, threads: int) -> list[Asked]:
        """Have it ask for so many; returns when the last call has returned."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{people} {threads}\n")
        self.process.stdin.flush()
        return [Asked(*one) for one in json.loads(self._read())]

    def _read(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(self.command)} ended")
        return line


def main() -> None:
    """Trigger the shipped workflow, one call a person."""
    with Notify.from_env() as notify:
        notify.registry.workflow(WORKFLOW)
        serve(from_threads(lambda person: notify.trigger(WORKFLOW, to=[person], payload=crowd.payload(person))))


if __name__ == "__main__":
    main()
