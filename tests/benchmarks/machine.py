"""What a benchmark ran on, and what its processes cost."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

PACKAGES = ("prefect", "sqlalchemy", "psycopg", "httpx", "aiohttp", "dbos", "procrastinate")
_MACHINE = "the machine"


def header(postgres: str | None = None) -> str:
    """The machine and the versions, a line each."""
    memory = psutil.virtual_memory().total / 2**30
    load = os.getloadavg()[0]
    lines = [
        f"{psutil.cpu_count()} cores, {_model()}, {memory:.0f} GB, load {load:.1f} before · Linux {platform.release()}",
        f"Python {platform.python_version()}" + (f" · PostgreSQL {postgres}" if postgres else ""),
        " · ".join(f"{name} {_version(name)}" for name in PACKAGES if _version(name)),
    ]
    return "\n".join(lines)


def _model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


class Cpu:
    """CPU seconds of named processes and everything below them, user and system, from here on."""

    def __init__(self, parts: Mapping[str, int]) -> None:
        self.parts = parts
        self._before = self._read()

    def spent(self) -> tuple[dict[str, float], float]:
        """What each has used since, and what everybody else on this machine has."""
        after = self._read()
        used = {name: after[name] - before for name, before in self._before.items()}
        whole = used.pop(_MACHINE)
        return used, max(0.0, whole - sum(used.values()))

    def _read(self) -> dict[str, float]:
        busy = psutil.cpu_times()
        whole = {_MACHINE: busy.user + busy.nice + busy.system}
        return {name: _tree(pid) for name, pid in self.parts.items()} | whole


def _tree(pid: int) -> float:
    root = psutil.Process(pid)
    return sum(_own(process) for process in [root, *root.children(recursive=True)])


def _own(process: psutil.Process) -> float:
    try:
        # `children_*` holds the children that have ended and were waited for; the living are counted themselves.
        return sum(process.cpu_times()[:4])
    except psutil.NoSuchProcess:
        return 0.0
