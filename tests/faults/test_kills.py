"""SIGKILL of workers, the Prefect server and the database, a few times. `python -m tests.faults` does more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.kills import Plan, run


@pytest.mark.long
def test_a_few_kills_lose_nothing_and_decide_nothing_twice(
    tmp_path: Path, known_to_prefect: Callable[[Path], Path]
) -> None:
    known_to_prefect(tmp_path / "server")
    plan = Plan(kills=5, seed=10, pause=1.5, every=0.1, lease=3.0)

    result = asyncio.run(run(plan, tmp_path))

    print("", *result.lines(), sep="\n")
    assert result.clean, "\n".join(result.lines())
    assert sum(result.killed.values()) == 5
    assert result.killed["worker"] >= 2
    assert result.taken > 20
