"""Prefect's database is lost altogether while people wait: their wake-ups are armed again, and each is told once."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from notify.client import Notify
from notify.engine.server import EmbeddedServer
from notify.settings import Settings
from notify.store.database import Database
from notify.store.tables import alarms, messages, notifications
from tests.engine.services_world import free_port
from tests.eventually import eventually_sync
from tests.house.source import ROOT

pytestmark = pytest.mark.long

PATIENCE = 120
REMINDER = "deadline-reminder"


@contextmanager
def _server(home: Path) -> Iterator[str]:
    """A Prefect server with its database in `home`: its API's URL."""
    with asyncio.Runner() as runner:
        embedded = EmbeddedServer(home, free_port())
        runner.run(embedded.__aenter__())
        try:
            yield embedded.api_url
        finally:
            runner.run(embedded.__aexit__())


class Company:
    """A home, a database, and workers that are told which server to use."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("NOTIFY_", "PREFECT_"))}
        path = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
        ours = {"NOTIFY_HOME": folder / "home", "NOTIFY_DATABASE_URL": url, "NOTIFY_FLOWS": ROOT / "flows"}
        self.environment = kept | {"PATH": path} | {name: str(value) for name, value in ours.items()}

    def notify(self) -> Notify:
        return Notify(Settings.from_env(self.environment))

    def run(self, api: str, *words: str) -> str:
        environment = self.environment | {"PREFECT_API_URL": api}
        done = subprocess.run(["notify", *words], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @cached_property
    def database(self) -> Database:
        return Database(self.url)

    @contextmanager
    def working(self, api: str) -> Iterator[None]:
        environment = self.environment | {"PREFECT_API_URL": api}
        with (self.folder / "worker.log").open("ab") as log:
            worker = subprocess.Popen(["notify", "work"], env=environment, stdout=log, stderr=log)
        try:
            yield
        finally:
            worker.terminate()
            assert worker.wait(PATIENCE) == 0

    def rows(self, query: sa.Select[Any] | sa.Update) -> list[Any]:
        with self.database.write() as connection:
            found = connection.execute(query)
            return list(found) if found.returns_rows else []

    def armed(self, workflow: str) -> set[str]:
        """The scheduled flow runs that stand for this workflow's alarms."""
        al = alarms.c
        return {row[0] for row in self.rows(sa.select(al.flow_run).where(al.workflow == workflow)) if row[0]}

    def told(self) -> list[tuple[str, str, str]]:
        """What the reminder said: to whom, on what, with which end."""
        m = messages.c
        query = sa.select(m.subscriber, m.channel, m.status).where(m.workflow == REMINDER)
        return sorted(tuple(row) for row in self.rows(query))


def _scheduled(api: str) -> set[str]:
    query = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}, "tags": {"all_": ["wake"]}}}
    answer = httpx.post(f"{api}/flow_runs/filter", json=query, timeout=PATIENCE)
    return {run["id"] for run in answer.raise_for_status().json()}


def _task(person: str, due: datetime) -> dict[str, Any]:
    return {
        "taskId": f"T-{person}",
        "taskTitle": "Fix login",
        "assigneeId": person,
        "assigneeName": person,
        "assignerId": "cy",
        "assignerName": "Cy",
        "projectName": "House",
        "dueDate": due.isoformat(),
    }


@pytest.fixture
def company(tmp_path: Path, postgres_url: str, known_to_prefect: Callable[[Path], Path]) -> Iterator[Company]:
    """Two tasks that are due in some days."""
    known_to_prefect(tmp_path / "first")
    known_to_prefect(tmp_path / "second")
    made = Company(tmp_path, postgres_url)
    now = datetime.now(UTC)
    with made.notify() as notify:
        notify.subscribers.save([{"subscriberId": id_, "email": f"{id_}@example.com"} for id_ in ("ana", "bo")])
        for days, person in enumerate(("ana", "bo"), 3):
            notify.emit("task/assigned", _task(person, now + timedelta(days=days)))
    yield made
    made.database.close()


def test_what_waited_is_armed_on_the_new_server_and_told_once(company: Company, tmp_path: Path) -> None:
    with _server(tmp_path / "first") as api:
        company.run(api, "work", "--until-idle")
        lost = company.armed(REMINDER)
        assert lost <= _scheduled(api)
    shutil.rmtree(tmp_path / "first")

    with _server(tmp_path / "second") as api, company.working(api):
        assert len(lost) == 2
        assert company.told() == []
        eventually_sync(lambda: len(_new(company, lost) & _scheduled(api)) == 2, "armed again", within=PATIENCE)
        _comes(company, "ana")
        eventually_sync(lambda: len(company.told()) == 3, "ana is reminded", within=PATIENCE)

    assert company.told() == [("ana", "email", "sent"), ("ana", "in_app", "delivered"), ("ana", "push", "skipped")]
    assert "nothing lost, nothing decided twice" in company.run(api, "audit")


def _new(company: Company, lost: set[str]) -> set[str]:
    return company.armed(REMINDER) - lost


def _comes(company: Company, person: str) -> None:
    """The instant for which the reminder of this person waited."""
    n = notifications.c
    own = sa.and_(n.workflow == REMINDER, n.subscriber == person)
    company.rows(notifications.update().where(own).values(wake_at=datetime.now(UTC)))
