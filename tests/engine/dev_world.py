"""A running `notify dev` for tests: its home, the terminal beside it, its server, and the news it starts with."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa

from notify.store.database import Database
from notify.store.tables import events, messages
from tests.eventually import eventually_sync

ROOT = Path(__file__).parents[2]
#: Seconds for a server to start, and for a command to end, on a machine with other work to do.
PATIENCE = 180
PEOPLE = ("ana", "bo", "cleo", "dev", "eve")


def assignment(task: str, assignee: str, due: datetime | None = None) -> dict[str, Any]:
    """The data of `task/assigned`."""
    return {
        "taskId": task,
        "taskTitle": f"Task {task}",
        "assigneeId": assignee,
        "assigneeName": assignee.title(),
        "assignerId": "boss",
        "assignerName": "Boss",
        "projectName": "House",
        "dueDate": due and due.isoformat(),
    }


def _comment(task: str, number: int) -> dict[str, Any]:
    return {
        "taskId": task,
        "taskTitle": f"Task {task}",
        "commenterId": "boss",
        "commenterName": "Boss",
        "commentText": f"Remark {number}",
        "mentionedUserIds": [],
        "projectName": "House",
    }


def news(now: datetime) -> Iterator[dict[str, Any]]:
    """A week ago everybody got a task and eleven comments on it."""
    start = int((now - timedelta(days=7)).timestamp() * 1000)
    for place, person in enumerate(PEOPLE):
        yield {"id": person, "name": "task/assigned", "ts": start + place, "data": assignment(f"T-{person}", person)}
        for number in range(11):
            data = _comment(f"T-{person}", number)
            yield {"id": f"{person}-{number}", "name": "task/commented", "ts": start + 1000 + number, "data": data}


def evening(now: datetime) -> str:
    """A zone in which nine o'clock is far away, so that nothing is due on its own while tests run."""
    ahead = (21 - now.hour + 12) % 24 - 12
    return f"Etc/GMT{-ahead:+d}"  # in these names the sign is turned round


@dataclass
class Dev:
    """A running `notify dev`, and the terminal beside it."""

    home: Path
    flows: Path
    process: subprocess.Popen[bytes] | None = None

    def take_in(self, name: str, rows: list[dict[str, Any]], *words: str) -> None:
        """Write rows into a file and give it to the command."""
        file = self.home.parent / f"{name}.ndjson"
        file.write_text("\n".join(map(json.dumps, rows)))
        environment = _environment(self.home, self.flows)
        subprocess.run(["notify", *words, str(file)], cwd=self.home.parent, env=environment, check=True)

    def start(self) -> None:
        """Start it where it does not run, and wait until it has worked on what is stored."""
        if self.process is not None:
            return
        command = ["notify", "dev", "--port", str(_free_port())]
        environment = _environment(self.home, self.flows)
        with self.output.open("wb") as said:
            self.process = subprocess.Popen(
                command, cwd=self.home.parent, env=environment, stdout=said, stderr=subprocess.STDOUT
            )
        eventually_sync(lambda: self.api or self._ended, "it greets", within=PATIENCE)
        assert not self._ended, self.said
        eventually_sync(self._idle, "what was stored is worked on", within=PATIENCE)

    def stop(self) -> int:
        """Ctrl-C; answers how it ended."""
        process, self.process = self.process, None
        if process is None:
            return 0
        process.send_signal(signal.SIGINT)
        try:
            return process.wait(PATIENCE)
        finally:
            process.kill()

    @property
    def _ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    @property
    def output(self) -> Path:
        """What it printed goes here."""
        return self.home.parent / "dev.txt"

    @property
    def said(self) -> str:
        return self.output.read_text()

    @property
    def api(self) -> str:
        """What it told us to paste."""
        found = re.search(r"^export PREFECT_API_URL=(http://\S+)$", self.said, re.MULTILINE)
        return found[1] if found else ""

    @property
    def terminal(self) -> dict[str, str]:
        """The environment of a second terminal, with the line pasted."""
        return _environment(self.home, self.flows) | {"PREFECT_API_URL": self.api}

    def run(self, *command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=cwd, env=self.terminal, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    def python(self, source: str) -> list[list[str]]:
        """The lines a script printed, in their parts."""
        done = self.run(sys.executable, "-c", source, cwd=self.home.parent)
        assert done.returncode == 0, done.stderr
        return [line.split(";") for line in done.stdout.splitlines()]

    def read(self, what: str, **query: Any) -> list[dict[str, Any]]:
        """What the server lists."""
        answer = httpx.post(f"{self.api}/{what}/filter", json=query, timeout=PATIENCE)
        answer.raise_for_status()
        return answer.json()

    def deployment(self, name: str) -> dict[str, Any]:
        answer = httpx.get(f"{self.api}/deployments/name/{name}", timeout=PATIENCE)
        answer.raise_for_status()
        return answer.json()

    def ask(self, name: str, **parameters: Any) -> httpx.Response:
        """Ask the server itself for a run."""
        id_ = self.deployment(name)["id"]
        return httpx.post(f"{self.api}/deployments/{id_}/create_flow_run", json={"parameters": parameters}, timeout=60)

    def ended(self, flow_run: str) -> dict[str, Any]:
        """The flow run's last state, once it has one."""

        def final() -> dict[str, Any] | None:
            state = httpx.get(f"{self.api}/flow_runs/{flow_run}", timeout=60).json()["state"]
            return state if state["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None

        return eventually_sync(final, f"flow run {flow_run} ends", within=PATIENCE) or {}

    def rows(self, query: sa.Select[Any]) -> list[Any]:
        database = Database(f"sqlite:///{self.home / 'notify.db'}")
        with database.read() as connection:
            found = list(connection.execute(query))
        database.close()
        return found

    def told(self, workflow: str) -> Counter[tuple[str, str]]:
        """(person, channel) → messages."""
        m = messages.c
        query = sa.select(m.subscriber, m.channel).where(m.workflow == workflow)
        return Counter((person, channel) for person, channel in self.rows(query))

    def _idle(self) -> bool:
        unmatched = sa.select(sa.func.count()).select_from(events).where(events.c.matched_at.is_(None))
        return self.rows(unmatched)[0][0] == 0 and sum(self.told("comment-digest").values()) == 2 * len(PEOPLE)


def _environment(home: Path, flows: Path) -> dict[str, str]:
    """What a fresh terminal has, our home and our workflows."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NOTIFY_", "PREFECT_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
    ours = {"NOTIFY_HOME": home, "NOTIFY_FLOWS": flows, "PREFECT_HOME": home.parent / "prefect"}
    return kept | {"PATH": path, "PYTHONUNBUFFERED": "1"} | {name: str(value) for name, value in ours.items()}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
