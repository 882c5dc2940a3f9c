"""`notify work` as a process of its own, and the environment it shares with the application."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from tests.benchmarks.prefect_server import without_ours
from tests.eventually import eventually_sync

ROOT = Path(__file__).parents[2]
START = 300.0


def environment(folder: Path, database_url: str, prefect_url: str, sink_url: str) -> dict[str, str]:
    """What production would set, with the sink as SendGrid."""
    return without_ours() | {
        "PYTHONPATH": str(ROOT),
        "NOTIFY_HOME": str(folder / "notify"),
        "NOTIFY_DATABASE_URL": database_url,
        "NOTIFY_FLOWS": str(ROOT / "flows"),
        "NOTIFY_EMAIL": "sendgrid",
        "NOTIFY_SENDGRID_URL": sink_url,
        "NOTIFY_SENDGRID_KEY": "x",
        "PREFECT_API_URL": prefect_url,
    }


class Worker:
    """The process, for the length of a `with` block; entered, it has registered its deployments and serves."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.log = folder / "worker.log"
        self._output: IO[bytes] | None = None

    def __enter__(self) -> Worker:
        self._output = self.log.open("wb")
        command = [sys.executable, "-u", "-m", "notify.cli", "work"]
        self.process = subprocess.Popen(command, env=self.environment, stdout=self._output, stderr=self._output)
        try:
            eventually_sync(self._serves, "the worker serves", within=START)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _serves(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"the worker ended: {self.log.read_text()[-2000:]}")
        return "Working on" in self.log.read_text()

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self._output is not None:
            self._output.close()
