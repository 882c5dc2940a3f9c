"""The application of a soak: `python -m tests.benchmarks.soak_load <calls a second> <seconds>`, one process.

Of twenty calls twelve assign a task, which starts a message, two reminders and two digests; five comment on one, two
complete one, which ends its reminders, and one cancels what an earlier call started.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import deque
from datetime import UTC, datetime, timedelta

from notify.client import Notify
from tests.benchmarks import crowd
from tests.benchmarks.ending import orderly

PEOPLE = 500
#: How many calls ago a task was assigned that is commented on, completed or called off now.
BEHIND = 40
#: The reminder is told a day before the task is due: so many seconds after the call.
REMINDED = 5.0


class Load:
    """What has been said, and of what."""

    def __init__(self, notify: Notify) -> None:
        self.notify = notify
        self.people = [one for one in crowd.ids(PEOPLE * 2) if crowd.wants_email(one)][:PEOPLE]
        self.told: deque[tuple[str, str, str]] = deque(maxlen=BEHIND)
        self.calls = self.cancelled = 0

    def call(self) -> None:
        """The next one."""
        place = self.calls % 20
        person = self.people[self.calls % PEOPLE]
        if place < 12 or not self.told:
            self._assign(person)
        elif place < 17:
            self._comment(person, self.told[0][0])
        elif place < 19:
            self.notify.emit("task/completed", {"taskId": self.told[0][0], "completedById": person})
        else:
            self.cancelled += self.notify.cancel(self.told[-1][2])
        self.calls += 1

    def _assign(self, person: str) -> None:
        task, due = f"T-{self.calls}", datetime.now(UTC) + timedelta(days=1, seconds=REMINDED)
        data = crowd.payload(person) | {"taskId": task, "dueDate": due.isoformat()}
        self.told.append((task, person, self.notify.emit("task/assigned", data).transaction_id))

    def _comment(self, person: str, task: str) -> None:
        data = {
            "taskId": task,
            "taskTitle": "Look at the rows",
            "commenterId": person,
            "commenterName": person.title(),
            "commentText": "I have looked at them.",
            "mentionedUserIds": [self.people[(self.calls + 7) % PEOPLE]],
            "projectName": "House",
        }
        self.notify.emit("task/commented", data)


def main() -> None:
    """Call at the rate asked for; one that is behind does not hurry, and says how far it came."""
    orderly()
    rate, seconds = float(sys.argv[1]), float(sys.argv[2])
    with Notify.from_env() as notify:
        load = Load(notify)
        crowd.save(notify, load.people)
        began = due = time.monotonic()
        while (now := time.monotonic()) < began + seconds:
            if now < due:
                threading.Event().wait(due - now)
            load.call()
            due = max(due + 1 / rate, now)
        print(json.dumps({"calls": load.calls, "cancelled": load.cancelled}), flush=True)


if __name__ == "__main__":
    main()
