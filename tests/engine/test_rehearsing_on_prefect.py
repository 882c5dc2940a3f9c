"""The tour's rehearsals again, unchanged, with flow runs of a real Prefect server doing the work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from tests.house.source import ROOT

pytestmark = pytest.mark.long
SCENARIOS = "tests/tour/test_rehearsing.py"
PATIENCE = 500

#: Loaded beside the scenarios: what the server knows when they are over, before it ends with them.
_WITNESS = """
import json, os, pathlib
import httpx

def pytest_sessionfinish(session):
    def read(what):
        answer = httpx.post(f"{os.environ['PREFECT_API_URL']}/{what}/filter", json={"limit": 200}, timeout=60)
        return answer.raise_for_status().json()
    known = {what: read(what) for what in ("flow_runs", "task_runs")}
    pathlib.Path(__file__).with_name("known.json").write_text(json.dumps(known))
"""


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the server knew after the scenarios passed."""
    folder = tmp_path_factory.mktemp("onstage")
    (folder / "witness.py").write_text(_WITNESS)
    plugins = ("-p", "no:notify", "-p", "notify.testing.plugin", "-p", "witness")
    command = (*plugins, "-o", "addopts=", "--import-mode=importlib", "-q", "--notify-prefect", SCENARIOS)
    path = os.pathsep.join([str(folder), str(ROOT)])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *command],
        cwd=ROOT,
        env=environment | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "known.json").read_text())


def test_every_batch_was_a_flow_run_that_said_whom_it_told(known: dict[str, Any]) -> None:
    runs = Counter((run["name"], run["state"]["message"]) for run in known["flow_runs"])

    assert {run["state"]["type"] for run in known["flow_runs"]} == {"COMPLETED"}
    assert runs["task-assigned · 1 person", "1 person, 3 messages"] > 1


def test_a_calendar_digest_was_closed_by_its_cron_flow(known: dict[str, Any]) -> None:
    said = [run["state"]["message"] for run in known["flow_runs"] if run["name"] == "daily-digest · 1 person"]

    assert [message for message in said if message.startswith("1 digest: ")]


def test_each_group_of_steps_was_a_task_run(known: dict[str, Any]) -> None:
    names = {run["name"] for run in known["task_runs"]}

    assert {"sleep · 1 person", "digest · 1 person", "in_app · 1 person", "deliver · 2 messages"} <= names
