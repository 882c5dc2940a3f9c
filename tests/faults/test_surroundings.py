"""What a process stands on gives way: the disk, the folder, the database, the clock. The work goes on afterwards."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from notify.engine import match
from notify.errors import StoreNotWritable
from notify.model import Channel, Outcome, OutcomeKind, new_id
from notify.store import notifications, tables
from notify.store.database import Database
from tests.eventually import eventually_sync
from tests.faults import ledgers
from tests.faults.application import Application
from tests.faults.crash_load import PHASES, End, differences, play, violations
from tests.faults.lone import Lone
from tests.faults.machines import FLOWS, ROOT
from tests.faults.sink import Sink
from tests.faults.twins import Twin, later
from tests.world import World, migrated

ACCEPTED = Outcome(OutcomeKind.ACCEPTED, "p-1")


# --- the disk -----------------------------------------------------------------------------------


class Disk:
    """Lets a SQLite file grow to so many pages and no further."""

    def __init__(self, database: Database) -> None:
        self.pages = 2**30
        for engine in database.engines:
            event.listen(engine, "begin", self._limit)

    def _limit(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {self.pages}")

    def fill(self, world: World) -> None:
        [(self.pages,)] = world.rows(sa.text("PRAGMA page_count"))  # type: ignore[arg-type]


def test_a_full_disk_stops_the_work_until_there_is_room(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Room comes a page at a time, so that the disk is full at many different points."""
    twin = Twin.of(request, tmp_path, "sqlite")
    undisturbed = twin.undisturbed()
    refused: list[str] = []
    with twin.world() as world:
        disk = Disk(world.engine.database)
        disk.fill(world)
        for phase in range(len(PHASES)):
            _with_more_and_more_room(world, phase, disk, refused)
        end = End.of(world)
        assert [*violations(world), *differences(end, undisturbed)] == []

    print(f"\nthe disk was full {len(refused)} times, {end.unknown.total()} calls unknown")
    assert len(refused) > 1
    assert set(refused) == {
        f"The folder {tmp_path} cannot be written: database or disk is full. Make room, give this user the right to "
        "write, or choose another with NOTIFY_HOME."
    }


def _with_more_and_more_room(world: World, phase: int, disk: Disk, refused: list[str]) -> None:
    for _ in range(100):
        try:
            later(world)
            play(world, phase)
        except StoreNotWritable as error:
            refused.append(str(error))
            disk.pages += 1
        else:
            return
    pytest.fail(f"phase {phase} never came to its end")


# --- the folder ---------------------------------------------------------------------------------


def _ordinary() -> list[str]:
    """What runs a command without the right to write everywhere, which root has."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root may write everywhere, and there is no setpriv to take that away")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"]


def test_a_folder_that_cannot_be_written_is_named_and_nothing_is_half_done(tmp_path: Path) -> None:
    home = tmp_path / "home"
    lone = Lone(tmp_path, f"sqlite:///{home / 'notify.db'}", "")
    lone.workflow('@workflow("note")\nasync def note(n: Notification[dict[str, Any]]) -> None: ...\n')
    lone.notify().close()
    command = [*_ordinary(), sys.executable, "-m", "notify.cli", "emit", "something/happened"]

    def emit() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=ROOT, env=lone.variables, capture_output=True, text=True, check=False)

    for path, mode in ((home / "notify.db", 0o400), (home, 0o500)):
        path.chmod(mode)
    refused = emit()
    for path, mode in ((home, 0o700), (home / "notify.db", 0o600)):
        path.chmod(mode)
    taken = emit()

    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1), refused.stderr
    assert refused.stderr.startswith(f"notify: The folder {home} cannot be written: ")
    assert taken.returncode == 0, taken.stderr
    assert lone.rows(sa.select(tables.events.c.name)) == [("something/happened",)]


# --- the file ---------------------------------------------------------------------------------


def test_two_workers_share_one_sqlite_file(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    with Sink(takes=0.01) as sink, ExitStack() as workers:
        lone = Lone(tmp_path, migrated(request, "sqlite"), sink.url)
        lone.variables["NOTIFY_FLOWS"] = str(FLOWS)
        with lone.notify() as notify:
            Application.people(notify)
            for _ in range(2):
                workers.enter_context(lone.process())
            application = Application(notify, "app", seed=1)
            for _ in range(150):
                application.say()
            eventually_sync(lambda: ledgers.busy(notify.database) == 0, "all is done", within=60)
            found = ledgers.compare(notify.database, [application.ledger], sink.accepted)

        assert (found.lost, found.doubled, found.unexplained, found.second_sends) == ([], [], [], 0)
        assert application.ledger.refused == 0
        assert lone.audit().violations == []
        assert "Traceback" not in lone.said.read_text()


# --- the clock ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_clock_stepped_back_an_hour_sends_nothing_early_and_nothing_twice(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    twin = Twin.of(request, tmp_path, kind)
    undisturbed = twin.undisturbed()
    with twin.world() as world:
        for phase in range(len(PHASES)):
            play(world, phase)
            before = End.of(world)
            world.clock.advance(timedelta(hours=-1))
            world.settle()
            assert End.of(world) == before
        assert [*violations(world), *differences(End.of(world), undisturbed)] == []


def test_leases_stand_when_a_workers_clock_steps_back_or_ahead(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """They are held against the database's clock, whatever the workers' clocks say."""
    with World(tmp_path, migrated(request, "sqlite")) as world:
        world.workflow(
            '@workflow("mail")\nasync def mail(n: Notification[dict[str, Any]]) -> None:\n    await n.email("note")\n',
            "mail/note.email",
        )
        world.people("ann")
        world.trigger("mail", "ann")
        token = _held_by_another(world)
        for hours in (-1, 2):
            world.clock.advance(timedelta(hours=hours))
            world.settle()
            assert [(row.status, row.claim) for row in world.notifications()] == [("running", token)]
        later(world)
        world.settle()

        assert world.statuses() == [("completed", None)]
        assert len(world.providers[Channel.EMAIL].calls) == 1


def _held_by_another(world: World) -> str:
    """Another worker has taken everything, and is at work on it."""
    token = new_id()
    options: dict[str, Any] = {"token": token, "lease": timedelta(minutes=1), "now": world.clock.at, "limit": 10}
    asyncio.run(match.match_page(world.engine))
    with world.notify.database.write() as connection:
        notifications.claim(connection, world.settings.environment, "mail", **options)
    return token
