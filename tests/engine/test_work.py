"""`notify work`: it does what is stored, says what still waits, and explains in one line why it cannot."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from notify.client import Notify
from notify.engine.server import EmbeddedServer
from notify.settings import Settings
from notify.store.database import Database
from notify.store.tables import messages, notifications
from tests.eventually import eventually_sync

ROOT = Path(__file__).parents[2]
PATIENCE = 180
#: Nobody listens here.
NOWHERE = "127.0.0.1:1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, known_to_prefect: Callable[[Path], Path]) -> Iterator[str]:
    """A Prefect server that every worker here is told to use: its API's URL."""
    with asyncio.Runner() as runner, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        embedded = EmbeddedServer(known_to_prefect(tmp_path_factory.mktemp("server")), port)
        runner.run(embedded.__aenter__())
        yield embedded.api_url
        runner.run(embedded.__aexit__())


class Terminal:
    """Somebody's home, database and workflows, and commands typed there."""

    def __init__(self, folder: Path, database_url: str, server: str, flows: Path = ROOT / "flows") -> None:
        self.folder = folder
        self.url = database_url
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("NOTIFY_", "PREFECT_"))}
        ours = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]]),
            "NOTIFY_HOME": str(folder / ".notify"),
            "NOTIFY_DATABASE_URL": database_url,
            "NOTIFY_FLOWS": str(flows),
        }
        self.environment = kept | ours | ({"PREFECT_API_URL": server} if server else {})

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["notify", *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def notify(self) -> Notify:
        return Notify(Settings.from_env(self.environment))

    def rows(self, query: sa.Select[Any]) -> list[tuple[Any, ...]]:
        database = Database(self.url)
        with database.read() as connection:
            found = [tuple(row) for row in connection.execute(query)]
        database.close()
        return found

    def state(self) -> list[tuple[Any, ...]]:
        """Everything that was decided, and how far it is."""
        m, n = messages.c, notifications.c
        told = self.rows(sa.select(m.id, m.status, m.attempts).order_by(m.id))
        return told + self.rows(sa.select(n.id, n.status, n.finished_at).order_by(n.id))


def _task(now: datetime) -> dict[str, Any]:
    return {
        "taskId": "T-1",
        "taskTitle": "Fix login",
        "assigneeId": "ana",
        "assigneeName": "Ana",
        "assignerId": "bo",
        "assignerName": "Bo",
        "projectName": "House",
        "dueDate": (now + timedelta(days=3)).isoformat(),
    }


def _comment() -> dict[str, Any]:
    return {
        "taskId": "T-1",
        "taskTitle": "Fix login",
        "commenterId": "bo",
        "commenterName": "Bo",
        "commentText": "Soon, please",
        "mentionedUserIds": [],
        "projectName": "House",
    }


@pytest.fixture
def terminal(tmp_path: Path, database_url: str, server: str) -> Terminal:
    """A task that is due in three days and a comment on it, not worked on yet."""
    made = Terminal(tmp_path, database_url, server)
    with made.notify() as notify:
        notify.subscribers.save([{"subscriberId": id_, "email": f"{id_}@example.com"} for id_ in ("ana", "bo")])
        notify.emit("task/assigned", _task(datetime.now(UTC)))
        notify.emit("task/commented", _comment())
    return made


@pytest.mark.parametrize("database_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)], indirect=True)
def test_it_does_what_there_is_to_do_and_says_what_waits_and_until_when(terminal: Terminal, server: str) -> None:
    first = terminal.run("work", "--until-idle")
    settled = terminal.state()
    second = terminal.run("work", "--until-idle")

    assert (first.returncode, first.stderr) == (0, "")
    waiting = first.stdout.partition("Idle. Still waiting:\n")[2]
    for workflow in ("comment-digest", "daily-digest", "deadline-reminder", "deadline-urgent"):
        assert f"  {workflow}: 1 waiting, the first until " in waiting
    told = terminal.rows(sa.select(messages.c.channel, messages.c.status).order_by(messages.c.channel))
    assert told == [("email", "sent"), ("in_app", "delivered"), ("push", "skipped")]
    assert (second.returncode, second.stdout.partition("Idle. Still waiting:\n")[2]) == (0, waiting)
    assert terminal.state() == settled
    assert _schedules(server) == {False}


@pytest.mark.long
def test_it_copies_from_an_application_s_own_database_before_it_is_idle(
    tmp_path: Path, sqlite_url: str, server: str
) -> None:
    shop = tmp_path / "shop.db"
    shop.touch()
    terminal = Terminal(tmp_path, sqlite_url, server)
    terminal.environment["NOTIFY_OUTBOX_URLS"] = f"sqlite:///{shop}"
    made = terminal.run("db", "outbox", f"sqlite:///{shop}")
    with terminal.notify() as notify, closing(sqlite3.connect(shop)) as connection:
        notify.subscribers.save([{"subscriberId": "ana", "email": "ana@example.com"}])
        notify.emit("task/assigned", _task(datetime.now(UTC)), connection=connection)
        connection.commit()

    done = terminal.run("work", "--until-idle")

    assert (made.returncode, done.returncode, made.stderr + done.stderr) == (0, 0, "")
    assert "Idle. Still waiting:" in done.stdout
    assert len(terminal.rows(sa.select(messages.c.id).where(messages.c.workflow == "task-assigned"))) == 3


def _schedules(server: str) -> set[bool]:
    """Whether the schedules of what was registered are on."""
    deployments = httpx.post(f"{server}/deployments/filter", json={}, timeout=PATIENCE).json()
    return {schedule["active"] for deployment in deployments for schedule in deployment["schedules"]}


def test_a_broken_workflow_file_keeps_it_from_starting(tmp_path: Path, sqlite_url: str) -> None:
    flows = tmp_path / "flows"
    flows.mkdir()
    (flows / "broken.py").write_text("x = 1\nimport nothing_of_this_name\n")

    done = Terminal(tmp_path, sqlite_url, "", flows).run("work", "--until-idle")

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert done.stderr.startswith(f"notify: {flows / 'broken.py'}:2: ModuleNotFoundError")


def test_a_prefect_server_that_does_not_answer_is_named(tmp_path: Path, sqlite_url: str) -> None:
    done = Terminal(tmp_path, sqlite_url, f"http://{NOWHERE}/api").run("work", "--until-idle")

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert done.stderr.startswith(f"notify: No Prefect server answers at http://{NOWHERE}/api: ")


def test_a_database_that_cannot_be_reached_is_named_without_its_password(tmp_path: Path, server: str) -> None:
    url = f"postgresql+psycopg://somebody:secret@{NOWHERE}/nothing"

    done = Terminal(tmp_path, url, server).run("work", "--until-idle")

    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert done.stderr.startswith("notify: The database ")
    assert NOWHERE in done.stderr
    assert "secret" not in done.stdout + done.stderr


def test_a_taken_port_is_named(tmp_path: Path, sqlite_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        done = Terminal(tmp_path, sqlite_url, "").run("work", "--until-idle", "--port", str(port))

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"notify: Port {port} is used by another program. Choose another with --port, or stop that program.\n"
    )


# --- being asked to end -------------------------------------------------------------------------


def _save_slow(folder: Path) -> Path:
    """A workflow whose first step lasts until somebody writes into `gate`; each start is a line of `starts`."""
    flows = folder / "flows"
    templates = flows / "templates" / "slow"
    templates.mkdir(parents=True)
    (templates / "done.in_app.j2").write_text("{% block subject %}Done{% endblock %}{% block body %}Done{% endblock %}")
    os.mkfifo(folder / "gate")
    source = f"""\
        import asyncio
        from pathlib import Path
        from typing import Any

        from notify.engine import prefect_flow
        from notify.workflow import Notification, workflow

        FOLDER = Path({str(folder)!r})


        async def hold() -> str:
            with (FOLDER / "starts").open("a") as file:
                file.write("started\\n")
            return await asyncio.to_thread((FOLDER / "gate").read_text)


        @workflow("slow", on="work/asked", to=lambda event: event.data["who"])
        async def slow(n: Notification[dict[str, Any]]) -> None:
            await n.run("hold", hold)
            await n.in_app("done")


        flow = prefect_flow(slow)
    """
    (flows / "slow.py").write_text(dedent(source))
    return flows


@pytest.mark.long
def test_sigterm_lets_it_finish_its_round_and_the_next_start_goes_on(
    tmp_path: Path, sqlite_url: str, server: str
) -> None:
    terminal = Terminal(tmp_path, sqlite_url, server, _save_slow(tmp_path))
    with terminal.notify() as notify:
        notify.subscribers.save([{"subscriberId": "ana"}])
        notify.emit("work/asked", {"who": "ana"})
    starts = tmp_path / "starts"

    with (tmp_path / "said.txt").open("wb") as said:
        worker = subprocess.Popen(
            ["notify", "work"], cwd=tmp_path, env=terminal.environment, stdout=said, stderr=subprocess.STDOUT
        )
    try:
        eventually_sync(starts.exists, "the step starts", within=PATIENCE)
        worker.send_signal(signal.SIGTERM)
        (tmp_path / "gate").write_text("go on")
        assert worker.wait(PATIENCE) == 0, (tmp_path / "said.txt").read_text()
    finally:
        worker.kill()
        worker.wait()
    assert "Traceback" not in (tmp_path / "said.txt").read_text()
    with terminal.notify() as notify:
        notify.emit("work/asked", {"who": "ana"}, id="second")
    # The first one's step is remembered: only the second one's stands before the gate now.
    second = subprocess.Popen(["notify", "work", "--until-idle"], cwd=tmp_path, env=terminal.environment)
    try:
        eventually_sync(lambda: starts.read_text().count("started") == 2, "the second one starts", within=PATIENCE)
        (tmp_path / "gate").write_text("go on")
        assert second.wait(PATIENCE) == 0
    finally:
        second.kill()
        second.wait()

    assert starts.read_text().count("started") == 2
    assert terminal.rows(sa.select(notifications.c.status)) == [("completed",)] * 2
    assert terminal.rows(sa.select(messages.c.channel, messages.c.status)) == [("in_app", "delivered")] * 2
