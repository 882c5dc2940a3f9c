"""The application that triggers: a process of its own, so that its CPU is counted apart."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from notify.client import Notify
from tests.benchmarks import crowd

WORKFLOW = "task-assigned"


def trigger_all(notify: Notify, people: list[str], threads: int) -> list[tuple[str, float, float]]:
    """One `trigger` a person: the person, the instant before and the one after."""

    def one(person: str) -> tuple[str, float, float]:
        before = time.monotonic()
        notify.trigger(WORKFLOW, to=[person], payload=crowd.payload(person))
        return person, before, time.monotonic()

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, people))


def main() -> None:
    """Each line read, `<people> <threads>`, is a load; its answer is a line of JSON."""
    with Notify.from_env() as notify:
        notify.registry.workflow(WORKFLOW)
        print("ready", flush=True)
        for line in sys.stdin:
            people, threads = (int(word) for word in line.split())
            print(json.dumps(trigger_all(notify, crowd.ids(people), threads)), flush=True)


class Application:
    """The process, for the length of a `with` block."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment

    def __enter__(self) -> Application:
        command = [sys.executable, "-m", __spec__.name]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, env=self.environment, stdin=pipe, stdout=pipe, text=True)
        self._read()
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def trigger(self, people: int, threads: int) -> list[tuple[str, float, float]]:
        """Have it trigger for so many; returns when the last call has returned."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{people} {threads}\n")
        self.process.stdin.flush()
        return [(person, before, after) for person, before, after in json.loads(self._read())]

    def _read(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the application ended")
        return line


if __name__ == "__main__":
    main()
