"""A Prefect server as production has it: a process of its own, on PostgreSQL, its events on."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import httpx

from notify.engine.server import HOST, TUNING
from tests.eventually import eventually_sync

START = 300.0


def without_ours() -> dict[str, str]:
    """The environment, less what somebody configured for their own Prefect and notify."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "NOTIFY_"))}


class PrefectServer:
    """The process, for the length of a `with` block. It gets the settings notify gives its own embedded server."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.folder = folder
        self.database_url = database_url.replace("postgresql://", "postgresql+asyncpg://", 1)
        self.url = f"http://{HOST}:{_free_port()}/api"
        self._log: IO[bytes] | None = None

    def __enter__(self) -> PrefectServer:
        self._log = (self.folder / "prefect-server.log").open("ab")
        port = self.url.removesuffix("/api").rpartition(":")[2]
        server = ["uvicorn", "--factory", "prefect.server.api.server:create_app", "--log-level", "warning"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", *server, "--host", HOST, "--port", port],
            env=without_ours() | TUNING | self._settings(),
            stdout=self._log,
            stderr=self._log,
        )
        try:
            eventually_sync(self._answers, "the Prefect server answers", within=START)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self._log is not None:
            self._log.close()

    def _settings(self) -> dict[str, str]:
        return {
            "PREFECT_HOME": str(self.folder / "prefect-server"),
            "PREFECT_API_DATABASE_CONNECTION_URL": self.database_url,
        }

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"the Prefect server ended, see {self.folder / 'prefect-server.log'}")
        try:
            return httpx.get(f"{self.url}/health", timeout=2).is_success
        except httpx.HTTPError:
            return False

    def runs(self) -> tuple[int, int]:
        """How many flow runs and task runs it knows."""
        return self._count("flow_runs"), self._count("task_runs")

    def is_quiet(self) -> bool:
        """Whether no flow run is under way."""
        under_way = {"flow_runs": {"state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}}}
        return self._count("flow_runs", under_way) == 0

    def _count(self, kind: str, filters: Mapping[str, Any] | None = None) -> int:
        answer = httpx.post(f"{self.url}/{kind}/count", json=filters or {}, timeout=30)
        return int(answer.raise_for_status().json())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
