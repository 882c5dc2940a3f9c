"""`notify dev` beside stock Prefect: its commands, its client, its server; workflows change while it runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from notify.store.database import Database
from notify.store.tables import events, messages
from tests.eventually import eventually_sync

ROOT = Path(__file__).parents[2]
#: Seconds for a server to start, and for a command to end, on a machine with other work to do.
PATIENCE = 180
PEOPLE = ("ana", "bo", "cleo", "dev", "eve")
LISTED = (
    "deployment",
    "work-pool",
    "flow",
    "flow-run",
    "task-run",
    "concurrency-limit",
    "global-concurrency-limit",
    "automation",
    "artifact",
    "block",
    "variable",
    "work-queue",
)
STOCK = """\
from prefect import get_client
from prefect.deployments import run_deployment
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, FlowRunFilter, FlowRunFilterId

payload = {payload}
run = run_deployment("task-assigned/notify", parameters={{"payload": payload}}, idempotency_key="{key}", timeout=120)
with get_client(sync_client=True) as client:
    own = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
    tasks = client.read_task_runs(flow_run_filter=own)
    tables = client.read_artifacts(artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id])))
print(run.id, run.state.name, len(tasks), [artifact.type for artifact in tables], sep=";")
"""
SUBMITTED = """\
from notify import Notify

with Notify.from_env() as notify:
    for _ in range(2):
        asked = notify.submit("task-assigned", to="bo", payload={payload}, idempotency_key="submitted")
        found = asked.wait(120)
        print(asked.id, found.settled, sorted((line.subscriber, line.channel, line.status) for line in found.lines), sep=";")
"""


def _assignment(task: str, assignee: str, due: datetime | None = None) -> dict[str, Any]:
    return {
        "taskId": task,
        "taskTitle": f"Task {task}",
        "assigneeId": assignee,
        "assigneeName": assignee.title(),
        "assignerId": "boss",
        "assignerName": "Boss",
        "projectName": "House",
        "dueDate": due and due.isoformat(),
    }


def _comment(task: str, number: int) -> dict[str, Any]:
    return {
        "taskId": task,
        "taskTitle": f"Task {task}",
        "commenterId": "boss",
        "commenterName": "Boss",
        "commentText": f"Remark {number}",
        "mentionedUserIds": [],
        "projectName": "House",
    }


def _news(now: datetime) -> Iterator[dict[str, Any]]:
    """A week ago everybody got a task and eleven comments on it."""
    start = int((now - timedelta(days=7)).timestamp() * 1000)
    for place, person in enumerate(PEOPLE):
        yield {"id": person, "name": "task/assigned", "ts": start + place, "data": _assignment(f"T-{person}", person)}
        for number in range(11):
            data = _comment(f"T-{person}", number)
            yield {"id": f"{person}-{number}", "name": "task/commented", "ts": start + 1000 + number, "data": data}


def _evening(now: datetime) -> str:
    """A zone in which nine o'clock is far away, so that nothing is due on its own while tests run."""
    return f"Etc/GMT{(now.hour - 21) % 24 - 12:+d}" if (now.hour - 21) % 24 != 12 else "UTC"


@dataclass
class Dev:
    """A running `notify dev`, and the terminal beside it."""

    home: Path
    flows: Path
    process: subprocess.Popen[bytes]

    @property
    def said(self) -> str:
        return (self.home.parent / "dev.txt").read_text()

    @property
    def api(self) -> str:
        """What it told us to paste."""
        found = re.search(r"^export PREFECT_API_URL=(http://\S+)$", self.said, re.MULTILINE)
        return found[1] if found else ""

    @property
    def terminal(self) -> dict[str, str]:
        """The environment of a second terminal, with the line pasted."""
        return _environment(self.home, self.flows) | {"PREFECT_API_URL": self.api}

    def run(self, *command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=cwd, env=self.terminal, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    def python(self, source: str) -> list[list[str]]:
        """The lines a script printed, in their parts."""
        done = self.run(sys.executable, "-c", source, cwd=self.home.parent)
        assert done.returncode == 0, done.stderr
        return [line.split(";") for line in done.stdout.splitlines()]

    def read(self, what: str, **query: Any) -> list[dict[str, Any]]:
        """What the server lists."""
        answer = httpx.post(f"{self.api}/{what}/filter", json=query, timeout=PATIENCE)
        answer.raise_for_status()
        return answer.json()

    def deployment(self, name: str) -> dict[str, Any]:
        answer = httpx.get(f"{self.api}/deployments/name/{name}", timeout=PATIENCE)
        answer.raise_for_status()
        return answer.json()

    def start(self, name: str, **parameters: Any) -> httpx.Response:
        """Ask the server itself for a run."""
        id_ = self.deployment(name)["id"]
        return httpx.post(f"{self.api}/deployments/{id_}/create_flow_run", json={"parameters": parameters}, timeout=60)

    def ended(self, flow_run: str) -> dict[str, Any]:
        """The flow run's last state, once it has one."""

        def final() -> dict[str, Any] | None:
            state = httpx.get(f"{self.api}/flow_runs/{flow_run}", timeout=60).json()["state"]
            return state if state["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None

        return eventually_sync(final, f"flow run {flow_run} ends", within=PATIENCE) or {}

    def rows(self, query: sa.Select[Any]) -> list[Any]:
        database = Database(f"sqlite:///{self.home / 'notify.db'}")
        with database.read() as connection:
            found = list(connection.execute(query))
        database.close()
        return found

    def told(self, workflow: str) -> Counter[tuple[str, str]]:
        """(person, channel) → messages."""
        m = messages.c
        return Counter(tuple(row) for row in self.rows(sa.select(m.subscriber, m.channel).where(m.workflow == workflow)))

    def idle(self) -> bool:
        unmatched = sa.select(sa.func.count()).select_from(events).where(events.c.matched_at.is_(None))
        return self.rows(unmatched)[0][0] == 0 and sum(self.told("comment-digest").values()) == 2 * len(PEOPLE)


def _environment(home: Path, flows: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NOTIFY_", "PREFECT_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
    ours = {"NOTIFY_HOME": home, "NOTIFY_FLOWS": flows, "PREFECT_HOME": home.parent / "prefect"}
    return kept | {"PATH": path, "PYTHONUNBUFFERED": "1"} | {name: str(value) for name, value in ours.items()}


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """People and their news through the command line, then `notify dev` on a copy of the shipped workflows."""
    folder = tmp_path_factory.mktemp("dev")
    flows = shutil.copytree(ROOT / "flows", folder / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "prefect.yaml", folder)
    home, now = folder / ".notify", datetime.now(UTC)
    people = [
        {"subscriberId": id_, "email": f"{id_}@example.com", "timezone": _evening(now)} for id_ in (*PEOPLE, "quiet")
    ]
    _import(folder, home, flows, "people", people, "subscribers", "import")
    _import(folder, home, flows, "events", list(_news(now)), "emit", "--file")
    with (folder / "dev.txt").open("wb") as said:
        process = subprocess.Popen(
            ["notify", "dev"], cwd=folder, env=_environment(home, flows), stdout=said, stderr=subprocess.STDOUT
        )
    started = Dev(home, flows, process)
    try:
        eventually_sync(lambda: started.api or process.poll() is not None, "it greets", within=PATIENCE)
        assert process.poll() is None, started.said
        eventually_sync(started.idle, "what was imported is worked on", within=PATIENCE)
        yield started
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE)


def _import(folder: Path, home: Path, flows: Path, name: str, rows: list[dict[str, Any]], *words: str) -> None:
    file = folder / f"{name}.ndjson"
    file.write_text("\n".join(map(json.dumps, rows)))
    subprocess.run(["notify", *words, str(file)], cwd=folder, env=_environment(home, flows), check=True, timeout=PATIENCE)


def test_it_prints_one_line_to_paste(dev: Dev) -> None:
    assert dev.said.count("export PREFECT_API_URL=") == 1
    assert httpx.get(f"{dev.api}/health", timeout=PATIENCE).json() is True


def test_the_daily_digest_run_three_times_tells_everybody_once(dev: Dev) -> None:
    asked = dev.run("prefect", "deployment", "run", "daily-digest/cron")
    assert asked.returncode == 0, asked.stderr
    [first] = re.findall(r"UUID: (\S+)", asked.stdout)
    states = [dev.ended(first)]
    states += [dev.ended(dev.start("daily-digest/cron").json()["id"]) for _ in range(2)]

    assert [state["type"] for state in states] == ["COMPLETED"] * 3
    assert dev.told("daily-digest") == {(person, channel): 1 for person in PEOPLE for channel in ("in_app", "email")}
    # A quarter of an hour may strike meanwhile: then the schedule's own run is the one that told them.
    finished = [run["state"]["message"] for run in dev.read("flow_runs", deployments=_named("daily-digest", "cron"))]
    assert len([message for message in finished if message and message.startswith("Digest for 5 people: ")]) == 1
    assert all((state["message"] or "").startswith("Nothing due, nothing sent: ") for state in states[1:]), states


def _named(flow: str, name: str) -> dict[str, Any]:
    return {"flow_or_deployment_name": {"like_": f"{flow}/{name}"}}


def test_the_server_knows_when_the_daily_digest_is_next(dev: Dev) -> None:
    [schedule] = dev.deployment("daily-digest/cron")["schedules"]

    def upcoming() -> list[dict[str, Any]]:
        states = {"state": {"type": {"any_": ["SCHEDULED"]}}}
        return dev.read("flow_runs", deployments=_named("daily-digest", "cron"), flow_runs=states)

    runs = eventually_sync(upcoming, "a run is scheduled", within=PATIENCE)
    assert (schedule["active"], schedule["schedule"]["cron"]) == (True, "*/15 * * * *")
    assert all(run["auto_scheduled"] for run in runs)


def test_a_reminder_waits_as_a_scheduled_flow_run(dev: Dev) -> None:
    due = datetime.now(UTC) + timedelta(days=3)
    sent = dev.run("notify", "emit", "task/assigned", json.dumps(_assignment("T-due", "ana", due)))
    assert sent.returncode == 0, sent.stderr

    def waiting() -> list[dict[str, Any]]:
        found = dev.read("flow_runs", flow_runs={"tags": {"all_": ["wake"]}})
        return [run for run in found if run["state"]["type"] == "SCHEDULED"]

    runs = eventually_sync(lambda: len(found := waiting()) >= 2 and found, "two reminders wait", within=PATIENCE) or []

    names = sorted(run["name"] for run in runs)
    assert [re.sub(r" · until .+", " · until …", name) for name in names] == [
        "deadline-reminder · until …",
        "deadline-urgent · until …",
    ]
    assert all(run["next_scheduled_start_time"] for run in runs)


def test_a_script_that_knows_only_prefect_runs_a_workflow(dev: Dev) -> None:
    before = dev.told("task-assigned")
    source = STOCK.format(payload=_assignment("T-stock", "cleo"), key="stock")

    [first] = dev.python(source)
    once = dev.told("task-assigned")
    [second] = dev.python(source)

    assert first[1:] == ["Completed", "4", "['table']"]
    assert once - before == {("cleo", "in_app"): 1, ("cleo", "email"): 1, ("cleo", "push"): 1}
    assert (second[0], dev.told("task-assigned")) == (first[0], once)


def test_submit_waits_for_what_became_of_it(dev: Dev) -> None:
    first, second = dev.python(SUBMITTED.format(payload=_assignment("T-submit", "bo")))

    expected = [("bo", "email", "sent"), ("bo", "in_app", "delivered"), ("bo", "push", "skipped")]
    assert first[1:] == ["True", str(expected)]
    assert second == first


def test_a_payload_that_does_not_fit_is_refused_by_the_server(dev: Dev) -> None:
    wrong = _assignment("T-wrong", "ana")
    del wrong["taskTitle"]

    answer = dev.start("task-assigned/notify", payload=wrong)

    assert answer.status_code == 409
    assert "taskTitle" in answer.text


def test_a_rehearsal_sends_nothing_and_says_how_many_would_be_told(dev: Dev) -> None:
    before = dev.told("task-assigned")

    asked = dev.start("task-assigned/notify", payload=_assignment("T-dry", "dev"), to=["dev", "eve"], dry_run=True)
    state = dev.ended(asked.json()["id"])

    assert state["type"] == "COMPLETED"
    assert state["message"].startswith("Rehearsal, nothing sent: 2 would be told, 0 not")
    assert dev.told("task-assigned") == before


def test_stock_commands_deploy_and_list(dev: Dev) -> None:
    deployed = dev.run("prefect", "--no-prompt", "deploy", "--all")
    with ThreadPoolExecutor(2) as terminals:
        listed = list(terminals.map(lambda what: dev.run("prefect", what, "ls"), LISTED))

    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    assert {what: done.stderr for what, done in zip(LISTED, listed, strict=True) if done.returncode} == {}
    assert "daily-digest/cron" in listed[0].stdout


# --- workflows change ---------------------------------------------------------------------------


def _save_greeting(flows: Path) -> None:
    """A workflow that `prefect.yaml` does not list."""
    template = flows / "templates" / "greeting" / "hello.in_app.j2"
    template.parent.mkdir()
    template.write_text("{% block subject %}Hello{% endblock %}{% block body %}Hello{% endblock %}\n")
    source = """\
        from typing import Any

        from notify.engine import prefect_flow
        from notify.workflow import Notification, workflow


        @workflow("greeting", on="guest/arrived", to=lambda event: event.data["who"])
        async def greeting(n: Notification[dict[str, Any]]) -> None:
            await n.in_app("hello")


        flow = prefect_flow(greeting)
    """
    (flows / "greeting.py").write_text(dedent(source))


def _emitted(dev: Dev) -> str:
    done = dev.run("notify", "emit", "guest/arrived", '{"who": "ana"}', "--wait", "--timeout", str(PATIENCE))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_workflow_saved_meanwhile_works(dev: Dev) -> None:
    reloads = dev.said.count("Reloaded: ")
    _save_greeting(dev.flows)
    eventually_sync(lambda: dev.said.count("Reloaded: ") > reloads, "it reloads", within=PATIENCE)

    printed = _emitted(dev)

    assert re.search(r"greeting\W+ana\W+in_app\W+delivered", printed), printed


def test_a_broken_file_is_named_with_its_line_and_the_others_go_on(dev: Dev) -> None:
    file = dev.flows / "broken.py"
    reloads = dev.said.count("Reloaded: ")
    file.write_text("x = 1\n\ndef (:\n")
    eventually_sync(lambda: dev.said.count("Reloaded: ") > reloads, "it reloads", within=PATIENCE)

    complaints = [line for line in dev.said.splitlines() if line.startswith(f"{file}:")]
    assert len(complaints) == 1
    assert complaints[0].startswith(f"{file}:3: ")
    assert re.search(r"greeting\W+ana\W+in_app\W+delivered", _emitted(dev))


def test_ctrl_c_ends_it_and_leaves_nothing_behind(dev: Dev) -> None:
    api = dev.api
    dev.process.send_signal(signal.SIGINT)

    assert dev.process.wait(PATIENCE) == 0
    assert dev.said.splitlines()[-1].startswith("Stopped. ")
    assert not (dev.home / "prefect.json").exists()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{api}/health", timeout=PATIENCE)
