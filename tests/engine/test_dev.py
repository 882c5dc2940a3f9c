"""`notify dev` beside stock Prefect: its commands, its client, its server; workflows change while it runs."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx
import pytest

from tests.engine.dev_world import PATIENCE, PEOPLE, ROOT, Dev, assignment, evening, news
from tests.eventually import eventually_sync

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
        lines = sorted((line.subscriber, line.channel, line.status) for line in found.lines)
        print(asked.id, found.settled, lines, sep=";")
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, known_to_prefect: Callable[[Path], Path]) -> Iterator[Dev]:
    """People and their news taken in through the command line, beside a copy of the shipped workflows."""
    folder = tmp_path_factory.mktemp("dev")
    flows = shutil.copytree(ROOT / "flows", folder / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "prefect.yaml", folder)
    made, now = Dev(known_to_prefect(folder / ".notify"), flows), datetime.now(UTC)
    people = [
        {"subscriberId": id_, "email": f"{id_}@example.com", "timezone": evening(now)} for id_ in (*PEOPLE, "quiet")
    ]
    made.take_in("people", people, "subscribers", "import")
    made.take_in("events", list(news(now)), "emit", "--file")
    yield made
    made.stop()


@pytest.fixture
def dev(place: Dev) -> Dev:
    """`notify dev` there: started by the first test, and again by the one after it was ended."""
    place.start()
    return place


def test_it_prints_one_line_to_paste(dev: Dev) -> None:
    assert dev.said.count("export PREFECT_API_URL=") == 1
    assert httpx.get(f"{dev.api}/health", timeout=PATIENCE).json() is True


def test_the_daily_digest_run_three_times_tells_everybody_once(dev: Dev) -> None:
    asked = dev.run("prefect", "deployment", "run", "daily-digest/cron")
    assert asked.returncode == 0, asked.stderr
    [first] = re.findall(r"UUID: (\S+)", asked.stdout)
    states = [dev.ended(first)]
    states += [dev.ended(dev.ask("daily-digest/cron").json()["id"]) for _ in range(2)]

    assert [state["type"] for state in states] == ["COMPLETED"] * 3
    assert dev.told("daily-digest") == {(person, channel): 1 for person in PEOPLE for channel in ("in_app", "email")}
    # A quarter of an hour may strike meanwhile: then the schedule's own run is the one that told them.
    finished = [run["state"]["message"] for run in dev.read("flow_runs", deployments=_only(dev, "daily-digest/cron"))]
    assert len([message for message in finished if message and message.startswith("5 digests: ")]) == 1
    assert all((state["message"] or "").startswith("Nothing due, nothing sent: ") for state in states[1:]), states


def _only(dev: Dev, name: str) -> dict[str, Any]:
    return {"id": {"any_": [dev.deployment(name)["id"]]}}


def test_the_server_knows_when_the_daily_digest_is_next(dev: Dev) -> None:
    [schedule] = dev.deployment("daily-digest/cron")["schedules"]

    def upcoming() -> list[dict[str, Any]]:
        states = {"state": {"type": {"any_": ["SCHEDULED"]}}}
        return dev.read("flow_runs", deployments=_only(dev, "daily-digest/cron"), flow_runs=states)

    runs = eventually_sync(upcoming, "a run is scheduled", within=PATIENCE)
    assert (schedule["active"], schedule["schedule"]["cron"]) == (True, "*/15 * * * *")
    assert all(run["auto_scheduled"] for run in runs)


def test_a_reminder_waits_as_a_scheduled_flow_run(dev: Dev) -> None:
    due = datetime.now(UTC) + timedelta(days=3)
    sent = dev.run("notify", "emit", "task/assigned", json.dumps(assignment("T-due", "ana", due)))
    assert sent.returncode == 0, sent.stderr

    def waiting() -> list[dict[str, Any]]:
        found = dev.read("flow_runs", flow_runs={"tags": {"all_": ["wake"]}})
        return [run for run in found if run["state"]["type"] == "SCHEDULED"]

    eventually_sync(lambda: len(waiting()) >= 2, "two reminders wait", within=PATIENCE)

    runs = waiting()
    names = sorted(run["name"] for run in runs)
    assert [re.sub(r" · until .+", " · until …", name) for name in names] == [
        "deadline-reminder · until …",
        "deadline-urgent · until …",
    ]
    assert all(run["next_scheduled_start_time"] for run in runs)


@pytest.mark.long
def test_a_script_that_knows_only_prefect_runs_a_workflow(dev: Dev) -> None:
    before = dev.told("task-assigned")
    source = STOCK.format(payload=assignment("T-stock", "cleo"), key="stock")

    [first] = dev.python(source)
    once = dev.told("task-assigned")
    [second] = dev.python(source)

    assert first[1:] == ["Completed", "4", "['table']"]
    assert once - before == {("cleo", "in_app"): 1, ("cleo", "email"): 1, ("cleo", "push"): 1}
    assert (second[0], dev.told("task-assigned")) == (first[0], once)


@pytest.mark.long
def test_submit_waits_for_what_became_of_it(dev: Dev) -> None:
    first, second = dev.python(SUBMITTED.format(payload=assignment("T-submit", "bo")))

    expected = [("bo", "email", "sent"), ("bo", "in_app", "delivered"), ("bo", "push", "skipped")]
    assert first[1:] == ["True", str(expected)]
    assert second == first


def test_a_payload_that_does_not_fit_is_refused_by_the_server(dev: Dev) -> None:
    wrong = assignment("T-wrong", "ana")
    del wrong["taskTitle"]

    answer = dev.ask("task-assigned/notify", payload=wrong)

    assert answer.status_code == 409
    assert "taskTitle" in answer.text


def test_a_rehearsal_sends_nothing_and_says_how_many_would_be_told(dev: Dev) -> None:
    before = dev.told("task-assigned")

    asked = dev.ask("task-assigned/notify", payload=assignment("T-dry", "dev"), to=["dev", "eve"], dry_run=True)
    state = dev.ended(asked.json()["id"])

    assert state["type"] == "COMPLETED"
    assert state["message"] == "2 would be told, 0 not (dry run: nothing was sent)"
    assert dev.told("task-assigned") == before


@pytest.mark.long
def test_stock_commands_deploy_and_list(dev: Dev) -> None:
    deployed = dev.run("prefect", "--no-prompt", "deploy", "--all")
    with ThreadPoolExecutor(2) as terminals:
        listed = list(terminals.map(lambda what: dev.run("prefect", what, "ls"), LISTED))

    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    assert {what: done.stderr for what, done in zip(LISTED, listed, strict=True) if done.returncode} == {}
    assert "daily-digest/cron" in listed[0].stdout


# --- workflows change ---------------------------------------------------------------------------


def _save_greeting(flows: Path, id_: str, on: str) -> None:
    """A workflow that `prefect.yaml` does not list."""
    template = flows / "templates" / id_ / "hello.in_app.j2"
    template.parent.mkdir()
    template.write_text("{% block subject %}Hello{% endblock %}{% block body %}Hello{% endblock %}\n")
    source = f"""\
        from typing import Any

        from notify.engine import prefect_flow
        from notify.workflow import Notification, workflow


        @workflow("{id_}", on="{on}", to=lambda event: event.data["who"])
        async def greeting(n: Notification[dict[str, Any]]) -> None:
            await n.in_app("hello")


        flow = prefect_flow(greeting)
    """
    (flows / f"{id_}.py").write_text(dedent(source))


def _emitted(dev: Dev, name: str) -> str:
    done = dev.run("notify", "emit", name, '{"who": "ana"}', "--wait", "--timeout", str(PATIENCE))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_workflow_saved_meanwhile_works(dev: Dev) -> None:
    reloads = dev.said.count("Reloaded: ")
    _save_greeting(dev.flows, "greeting", "guest/arrived")
    eventually_sync(lambda: dev.said.count("Reloaded: ") > reloads, "it reloads", within=PATIENCE)

    printed = _emitted(dev, "guest/arrived")

    assert re.search(r"greeting\W+ana\W+in_app\W+delivered", printed), printed


@pytest.mark.long
def test_a_broken_file_is_named_with_its_line_and_the_others_go_on(dev: Dev) -> None:
    file = dev.flows / "broken.py"
    reloads = dev.said.count("Reloaded: ")
    _save_greeting(dev.flows, "farewell", "guest/left")
    file.write_text("x = 1\n\ndef (:\n")
    eventually_sync(lambda: dev.said.count("Reloaded: ") > reloads, "it reloads", within=PATIENCE)

    printed = _emitted(dev, "guest/left")
    complaints = {line for line in dev.said.splitlines() if line.startswith(f"{file}:")}
    assert [line.partition(": ")[0] for line in complaints] == [f"{file}:3"]
    assert re.search(r"farewell\W+ana\W+in_app\W+delivered", printed), printed


def test_ctrl_c_ends_it_and_leaves_nothing_behind(dev: Dev) -> None:
    api = dev.api

    assert dev.stop() == 0
    assert dev.said.splitlines()[-1].startswith("Stopped. ")
    assert not (dev.home / "prefect.json").exists()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{api}/health", timeout=PATIENCE)
