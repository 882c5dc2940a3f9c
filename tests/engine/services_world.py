"""The services of `deployments/compose.yaml` as processes of this machine, each with a home of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa

from notify.client import Notify
from notify.settings import Settings
from notify.store.database import Database
from tests.compose import DEPLOYMENTS, Compose, Service, example
from tests.eventually import eventually_sync
from tests.house.source import ROOT
from tests.postgres import Server

PATIENCE = 120
START = DEPLOYMENTS / "start.sh"
SECRET = "a-secret-of-our-own"

#: A worker that is gone is noticed after one missed sign of life, in place of three.
_IMPATIENT = {
    "PREFECT_SERVER_SERVICES_FOREMAN_INACTIVITY_HEARTBEAT_MULTIPLE": "1",
    "PREFECT_SERVER_SERVICES_FOREMAN_LOOP_SECONDS": "2",
}


def own_variables() -> dict[str, str]:
    """The example with secrets of our own."""
    return {name: value.replace("change-me", SECRET) for name, value in example().items()}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Stack:
    """Processes in the places of containers. A container's host name, ports and folders are ours to say."""

    postgres: Server
    folder: Path
    compose: Compose = field(default_factory=lambda: Compose(own_variables()))
    port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def environment(self, service: Service, name: str) -> dict[str, str]:
        """What the container would see, with the addresses of this machine."""
        home = self.folder / name
        home.mkdir(exist_ok=True)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("NOTIFY_", "PREFECT_"))}
        path = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
        image = {"NOTIFY_HOME": str(home), "NOTIFY_FLOWS": str(ROOT / "flows"), "PYTHONUNBUFFERED": "1"}
        placed = {"NOTIFY_WORKER": name, "PREFECT_HOME": str(home / "prefect"), "PATH": path}
        if "PREFECT_SERVER_API_HOST" in service.environment:
            placed |= {"PREFECT_SERVER_API_HOST": "127.0.0.1", "PREFECT_SERVER_API_PORT": str(self.port)} | _IMPATIENT
        ours = {key: self._here(value) for key, value in service.environment.items()}
        return kept | image | ours | placed

    def _here(self, value: str) -> str:
        value = re.sub(r"@postgres:5432/(\w+)", rf"@/\1?host={self.postgres.folder}", value)
        return value.replace("http://prefect:4200", f"http://127.0.0.1:{self.port}")

    def start(self, name: str, instance: str = "") -> None:
        """Start a service's command, as an instance of that name."""
        service, instance = self.compose.services[name], instance or name
        with self.log(instance).open("ab") as log:
            self.processes[instance] = subprocess.Popen(
                ["sh", str(START), *service.command],
                cwd=self.folder,
                env=self.environment(service, instance),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def log(self, instance: str) -> Path:
        return self.folder / f"{instance}.log"

    def is_well(self, name: str, instance: str = "") -> bool:
        """What the service's health check says."""
        service, instance = self.compose.services[name], instance or name
        if instance in self.processes:
            assert not self._ended(instance), self.said(instance)[-3000:]
        if name == "postgres":
            words = [word for word in service.health if not word.startswith(("--host", "--username"))]
            return self.postgres.run(*words).returncode == 0
        environment = self.environment(service, instance)
        return subprocess.run(service.health, env=environment, capture_output=True, check=False).returncode == 0

    def wait_well(self, name: str, instance: str = "") -> None:
        """Until it is well. Asking takes a process each time, so what cannot be well yet is not asked."""
        instance = instance or name
        if name == "worker":
            eventually_sync(lambda: self._ended(instance) or "Working" in self.said(instance), within=PATIENCE)
        elif name == "prefect":
            eventually_sync(lambda: self._ended(instance) or self._listens(), within=PATIENCE)
        eventually_sync(lambda: self.is_well(name, instance), f"{instance} is well", within=PATIENCE)

    def _ended(self, instance: str) -> bool:
        return self.processes[instance].poll() is not None

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def said(self, instance: str) -> str:
        """What it printed so far."""
        return self.log(instance).read_text(errors="replace")

    def run(self, name: str) -> str:
        """Run a service that ends; what it printed."""
        self.start(name)
        status = self.processes.pop(name).wait(PATIENCE)
        said = self.said(name)
        assert status == 0, said[-3000:]
        return said

    def command(self, *words: str, **changed: str) -> subprocess.CompletedProcess[str]:
        """A command typed in a worker's container, or in one whose environment is `changed`."""
        environment = self.environment(self.compose.services["worker"], "terminal") | changed
        return subprocess.run(
            words, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    def kill(self, instance: str) -> None:
        """SIGKILL, to its whole group."""
        process = self.processes.pop(instance)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """End what is left."""
        for instance in list(self.processes):
            self.kill(instance)
        self.database.close()

    def up(self, workers: int) -> list[str]:
        """Start everything in the order of `depends_on`, each when what it needs is so; the order taken."""
        taken: list[str] = []
        for service in self.compose.in_order():
            if service.name == "worker":
                names = [f"worker-{number + 1}" for number in range(workers)]
                for name in names:
                    self.start("worker", name)
                for name in names:
                    self.wait_well("worker", name)
            elif "healthcheck" not in service.said:
                self.run(service.name)
            else:
                if service.name != "postgres":
                    self.start(service.name)
                self.wait_well(service.name)
            taken.append(service.name)
        return taken

    def api(self, method: str, path: str, **body: Any) -> Any:
        """What the Prefect server answers to whoever knows its secret."""
        service = self.compose.services["prefect"]
        user, _, password = service.environment["PREFECT_SERVER_API_AUTH_STRING"].partition(":")
        url = f"http://127.0.0.1:{self.port}/api/{path}"
        answer = httpx.request(method, url, json=body or None, auth=(user, password), timeout=PATIENCE)
        answer.raise_for_status()
        return answer.json()

    # --- the application beside it, and what became of what it asked for --------------------------

    def notify(self) -> Notify:
        return Notify(Settings.from_env(self.environment(self.compose.services["worker"], "application")))

    def rows(self, query: sa.Select[Any] | sa.Update) -> list[Any]:
        with self.database.write() as connection:
            found = connection.execute(query)
            return list(found) if found.returns_rows else []

    @cached_property
    def database(self) -> Database:
        return Database(self.environment(self.compose.services["worker"], "application")["NOTIFY_DATABASE_URL"])

    def shares(self) -> Counter[str]:
        """Worker → e-mails it sent: a worker's files are in its own home."""
        return Counter({home.parent.parent.name: len(list(home.glob("*.eml"))) for home in self._sent()})

    def sent(self) -> Counter[str]:
        """Message → workers that sent it."""
        return Counter(file.stem for home in self._sent() for file in home.glob("*.eml"))

    def _sent(self) -> list[Path]:
        return sorted(self.folder.glob("worker-*/sent/email"))
