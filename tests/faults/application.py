"""An application under load: it says things until the store has them, and keeps a ledger of what was taken.

`python -m tests.faults.application NAME SEED SECONDS` is one in a process of its own; it prints its ledger.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from notify.client import Notify
from notify.errors import StoreUnavailable

T = TypeVar("T")
PEOPLE = tuple(f"person-{number}" for number in range(200))
#: Seconds before an application says again what the store did not take.
AGAIN = 0.1
#: How often each is said.
WEIGHTS = {"told": 8, "reminded": 4, "gathered": 5, "fetched": 2, "code": 1}
_EVENTS = {"gathered": "load/said", "fetched": "load/asked"}


@dataclass
class Ledger:
    """What the store said it has: (workflow, id, person), which were to be called off, and for which it said yes."""

    taken: list[tuple[str, str, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    #: How often the store could not be reached.
    refused: int = 0


class Application:
    """Emits, triggers and cancels; whatever fails is said again under the same id."""

    def __init__(self, notify: Notify, name: str, seed: int) -> None:
        self.notify = notify
        self.ledger = Ledger()
        self.stopping = threading.Event()
        self._name = name
        self._random = random.Random(seed)
        self._waiting: list[str] = []

    @staticmethod
    def people(notify: Notify) -> None:
        """Everybody who may be told something."""
        notify.subscribers.save([{"subscriberId": one, "email": f"{one}@example.com"} for one in PEOPLE])

    def run(self, pause: float) -> None:
        """Say something, then wait `pause` seconds, until stopped."""
        while not self.stopping.wait(pause):
            self.say()

    def say(self) -> None:
        """One thing more, or one thing less."""
        if self._waiting and self._random.random() < 0.1:
            self._cancel(self._waiting.pop(0))
            return
        [workflow] = self._random.choices(list(WEIGHTS), list(WEIGHTS.values()))
        id_, person = f"{self._name}-{len(self.ledger.taken)}", self._random.choice(PEOPLE)
        self._surely(lambda: self._ask(workflow, id_, person))
        self.ledger.taken.append((workflow, id_, person))
        if workflow == "reminded":
            self._waiting = [*self._waiting, id_][-20:]

    def _ask(self, workflow: str, id_: str, person: str) -> Any:
        if workflow in _EVENTS:
            return self.notify.emit(_EVENTS[workflow], {"to": person, "place": id_}, id=id_)
        return self.notify.trigger(workflow, to=person, transaction_id=id_)

    def _cancel(self, id_: str) -> None:
        self.ledger.asked.append(id_)
        if self._surely(lambda: self.notify.cancel(id_)):
            self.ledger.cancelled.append(id_)

    def _surely(self, say: Callable[[], T]) -> T:
        while True:
            try:
                return say()
            except StoreUnavailable:
                self.ledger.refused += 1
                self.stopping.wait(AGAIN)


def main(name: str, seed: str, seconds: str) -> None:
    """Say something as fast as the store takes it, for so long."""
    with Notify.from_env() as notify:
        application, until = Application(notify, name, int(seed)), time.monotonic() + float(seconds)
        while time.monotonic() < until:
            application.say()
    print(json.dumps(asdict(application.ledger)))


if __name__ == "__main__":
    main(*sys.argv[1:])
