"""`notify deploy`, as far as it goes without a Prefect server: whom it would touch, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from notify.cli import app
from notify.store import schema
from notify.store.database import Database
from tests.world import World, migrated

NAP = """
@workflow("nap")
async def nap(n: Notification[dict[str, Any]]) -> None:
    await n.{step}
"""
SLEEP, DIGEST = 'sleep("pause", hours=1)', 'digest("pause", hours=1)'
REFUSED = (
    "notify: nap: step 'pause': 1 person who waits would fail; nothing was deployed. "
    "Give the step a new key, or deploy with --force\n"
)


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Ann sleeps in `pause`; a Prefect server is configured that does not answer."""
    with World(tmp_path, migrated(request, request.param)) as made:
        monkeypatch.setenv("NOTIFY_DATABASE_URL", made.settings.database_url)
        monkeypatch.setenv("NOTIFY_FLOWS", str(made.flows))
        monkeypatch.setenv("NOTIFY_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
        made.workflow(NAP.format(step=SLEEP))
        made.trigger("nap", "ann")
        made.settle()
        yield made


def deploy(*words: str) -> Result:
    return CliRunner().invoke(app, ["deploy", *words])


def test_a_dry_run_says_whom_it_touches_and_needs_no_server(world: World) -> None:
    world.workflow(NAP.format(step='sleep("rest", hours=1)'))

    done, asked = deploy("--dry-run"), deploy("--dry-run", "--json")

    text = (
        "1 person waits in sleep 'pause'; this release has no such step: once it is over they go on without it, "
        "and wait anew in sleep 'rest'"
    )
    assert (done.exit_code, done.output) == (0, f"nap: {text}\n")
    change: dict[str, Any] = {"workflow": "nap", "effect": "step_gone", "text": text, "people": 1, "step": "pause"}
    assert json.loads(asked.output) == {"waiting": 1, "changes": [change | {"fails": False}]}


def test_where_people_would_fail_nothing_is_applied_unless_forced(world: World) -> None:
    world.workflow(NAP.format(step=DIGEST))

    refused, dry, forced = deploy(), deploy("--dry-run"), deploy("--force")

    said = "nap: step 'pause' was a sleep and is a digest now: 1 person who waits would fail with StepChanged; "
    assert (refused.exit_code, refused.stdout, refused.stderr) == (1, f"{said}give it a new key\n", REFUSED)
    assert (dry.exit_code, dry.stdout, dry.stderr) == (1, refused.stdout, REFUSED)
    assert (forced.exit_code, forced.stdout) == (1, refused.stdout)
    assert "http://127.0.0.1:1/api" in forced.stderr
    assert deploy("--dry-run", "--force").exit_code == 0


def test_a_store_that_is_not_there_yet_or_not_of_this_release(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = tmp_path / "missing.db"
    monkeypatch.setenv("NOTIFY_DATABASE_URL", f"sqlite:///{missing}")
    absent = deploy("--dry-run")
    empty = Database(f"sqlite:///{tmp_path / 'empty.db'}")
    monkeypatch.setenv("NOTIFY_DATABASE_URL", f"sqlite:///{tmp_path / 'empty.db'}")
    bare = schema.exists(empty), deploy("--dry-run").output
    schema.upgrade(empty)
    with empty.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'before'")
    empty.close()
    old = deploy("--dry-run")

    assert (absent.output, missing.exists()) == ("Nobody waits.\n", False)
    assert bare == (False, "Nobody waits.\n")
    assert (old.exit_code, old.output) == (
        1,
        "notify: database: its schema is of another release. Run `notify db upgrade` first\n",
    )


def test_json_goes_with_a_dry_run(world: World) -> None:
    refused = deploy("--json")

    assert (refused.exit_code, refused.output) == (
        1,
        "notify: --json: goes with --dry-run. Add --dry-run, or leave it out\n",
    )


def test_a_certain_mistake_is_told_before_anything_is_released(world: World) -> None:
    world.mistaken(NAP.format(step='sleep("pause", hour=1)'))

    done = deploy("--dry-run")

    assert (done.exit_code, done.stdout) == (1, "")
    assert "sleep('pause'): {'hour': 1} is no length of time. Write months, weeks, days" in done.stderr
