"""The shared sample of a real team's activity: every figure it is known to come to, on both databases.

Skipped where the sample does not lie beside the repository.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from notify import clock
from notify.model import Verdict
from notify.reports import reference
from notify.store import audit
from notify.store.tables import messages, notifications
from tests.world import SHIPPED, World, migrated

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
#: After everything in the sample: each due date has passed, each burst of comments is over.
LATER = datetime(2027, 3, 1, 12, tzinfo=UTC)
DEADLINE = 300

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the shared sample is not beside this repository")


def _lines(name: str) -> Iterator[dict[str, Any]]:
    with (DATA / f"{name}.ndjson").open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def _expected() -> dict[str, Any]:
    """What a report has to say where comments collect for a quarter of an hour."""
    known = json.loads((DATA / "expected.json").read_text())
    return known | {"windows_fixed_min": {"15": known["windows_fixed_min"]["15"]}}


def _known(counted: Mapping[str, Any], expected: Mapping[str, Any]) -> dict[str, Any]:
    return {name: counted.get(name) for name in expected}


def _told(world: World) -> None:
    world.notify.subscribers.save(_lines("people"))
    world.notify.emit_many(_lines("activity"))
    world.settle()


@pytest.mark.long
@pytest.mark.parametrize("kind", ["postgresql"])  # on SQLite it goes through the command line, below
def test_the_sample_comes_to_its_figures(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    expected = _expected()
    with World(tmp_path, migrated(request, kind), flows=SHIPPED, at=LATER) as world:
        _told(world)
        environment, database = world.settings.environment, world.notify.database

        assert _known(reference.counts(database, environment), expected) == expected
        with database.read() as connection:
            _assignments(connection)
            _reminders(connection)
            assert audit.audit(connection, environment, world.engine.registry.listeners(), now=clock.now()).clean

        ticks = [world.tick("daily-digest") for _ in range(3)]
        assert ticks == [expected["daily_digest_people"], 0, 0]
        assert Counter(_digests(world).values()) == {1: expected["daily_digest_people"]}

        again = world.notify.emit_many(_lines("activity"))
        assert {receipt.verdict for receipt in again} == {Verdict.DUPLICATE}
        world.settle()
        assert _known(reference.counts(database, environment), expected) == expected


def _digests(world: World) -> Counter[str]:
    """How many in-app digests each person has."""
    told = [row.subscriber for row in world.messages() if (row.workflow, row.channel) == ("daily-digest", "in_app")]
    return Counter(told)


def _assignments(connection: sa.Connection) -> None:
    """Each assignment is decided once a channel, those to oneself too."""
    decided = sa.select(messages.c.channel, sa.func.count()).where(messages.c.workflow == "task-assigned")

    found = {channel: count for channel, count in connection.execute(decided.group_by(messages.c.channel))}

    assert found == dict.fromkeys(("in_app", "email", "push"), 754)


def _reminders(connection: sa.Connection) -> None:
    """All due dates have passed when the events are taken in, and most tasks have none."""
    ended = (
        sa.select(notifications.c.workflow, notifications.c.reason, sa.func.count())
        .where(notifications.c.workflow.in_(["deadline-reminder", "deadline-urgent"]))
        .group_by(notifications.c.workflow, notifications.c.reason)
    )

    found = {(workflow, reason): count for workflow, reason, count in connection.execute(ended)}

    assert found == {
        ("deadline-reminder", "too_late"): 260,
        ("deadline-reminder", "no_due_date"): 494,
        ("deadline-urgent", "too_late"): 260,
        ("deadline-urgent", "no_due_date"): 494,
    }


@pytest.mark.long
def test_comments_collect_for_as_long_as_one_says(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_COMMENT_DIGEST_MINUTES", "60")
    known = json.loads((DATA / "expected.json").read_text())
    with World(tmp_path, migrated(request, "sqlite"), flows=_only_comments(tmp_path), at=LATER) as world:
        _told(world)
        counted = reference.counts(world.notify.database, world.settings.environment)

    assert counted["windows_fixed_min"] == {"60": known["windows_fixed_min"]["60"]}
    assert counted["digest_items"] == known["digest_items"]


def _only_comments(folder: Path) -> Path:
    """The shipped workflows' folder with one workflow in it."""
    flows = folder / "comments"
    shutil.copytree(SHIPPED / "templates", flows / "templates")
    for file in (*SHIPPED.glob("_*.py"), SHIPPED / "comment_digest.py"):
        shutil.copy(file, flows)
    return flows


# --- as typed -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, known_to_prefect: Callable[[Path], Path]) -> Path:
    """An empty folder for the embedded files."""
    return known_to_prefect(tmp_path_factory.mktemp("typed") / ".notify")


def _typed(home: Path, *words: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NOTIFY_", "PREFECT_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
    done = subprocess.run(
        ["notify", *words],
        cwd=ROOT,
        env=kept | {"PATH": path, "NOTIFY_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, f"notify {' '.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.long
def test_the_sample_through_the_command_line_and_prefect(home: Path) -> None:
    expected = _expected()

    people = json.loads(_typed(home, "subscribers", "import", str(DATA / "people.ndjson"), "--json"))
    events = json.loads(_typed(home, "emit", "--file", str(DATA / "activity.ndjson"), "--json"))
    worked = _typed(home, "work", "--until-idle")
    audited = _typed(home, "audit")
    report = json.loads(_typed(home, "report", "--json"))
    again = json.loads(_typed(home, "emit", "--file", str(DATA / "activity.ndjson"), "--json"))

    assert (people["imported"], events["accepted"], events["rejected"]) == (52, 8000, 0)
    assert (again["accepted"], again["duplicate"]) == (0, 8000)
    assert "daily-digest: " in worked
    assert audited.endswith("nothing lost, nothing decided twice.\n")
    assert _known(report["counts"], expected) == expected
    assert {row["channel"] for row in report["delivery"]} == {"email", "in_app", "push", "all"}
