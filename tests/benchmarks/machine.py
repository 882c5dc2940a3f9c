"""What a benchmark ran on, and what its processes cost."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

PACKAGES = ("prefect", "sqlalchemy", "psycopg", "httpx", "aiohttp", "dbos", "procrastinate")


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


def cpu(parts: Mapping[str, int]) -> dict[str, float]:
    """CPU seconds so far of each named process and everything below it, user and system, the ended ones included."""
    return {name: _tree(pid) for name, pid in parts.items()}


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """CPU seconds between two readings."""
    return {name: after[name] - before[name] for name in before}


def _tree(pid: int) -> float:
    root = psutil.Process(pid)
    return sum(_own(process) for process in [root, *root.children(recursive=True)])


def _own(process: psutil.Process) -> float:
    try:
        # `children_*` holds the children that have ended and were waited for; the living are counted themselves.
        return sum(process.cpu_times()[:4])
    except psutil.NoSuchProcess:
        return 0.0
