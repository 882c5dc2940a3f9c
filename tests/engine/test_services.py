"""The services of `deployments/compose.yaml` work together, two workers share a load, and one may be killed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from notify.model import NotificationStatus
from notify.store.tables import events, flow_runs, leases, messages, notifications
from tests.compose import DEPLOYMENTS, Compose, example
from tests.engine.services_world import START, Stack
from tests.eventually import eventually_sync
from tests.house.source import ROOT
from tests.postgres import FAST, Server, Unavailable

pytestmark = pytest.mark.long

PEOPLE = 25
#: A load goes on until everybody has done some of it, but not for ever, and waits while more are ready than a few.
LEAST, MOST, FEW = 8, 80, 200


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    """What the service `postgres` is: its role, its two databases."""
    server = Server(FAST)
    try:
        server.start()
    except Unavailable as error:
        server.stop()
        if os.environ.get("CI"):
            pytest.fail(f"no PostgreSQL: {error}")
        pytest.skip(f"no PostgreSQL: {error}")
    server.run("psql", "--command", "CREATE ROLE notify SUPERUSER LOGIN")
    server.run("createdb", "--owner=notify", "notify")
    made = server.run("psql", "--command", (DEPLOYMENTS / "databases.sql").read_text().splitlines()[-1])
    assert made.returncode == 0, made.stderr
    yield server
    server.stop()


@pytest.fixture(scope="module")
def stack(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything, with two workers and some people, for whichever test comes first."""
    made = Stack(postgres, tmp_path_factory.mktemp("stack"))
    try:
        assert made.up(workers=2) == ["postgres", "prefect", "setup", "worker"]
        with made.notify() as notify:
            people = [f"person-{one}" for one in range(PEOPLE)]
            notify.subscribers.save([{"subscriberId": id_, "email": f"{id_}@example.com"} for id_ in people])
        yield made
    finally:
        made.stop()


def _task(number: int) -> dict[str, Any]:
    return {
        "taskId": f"T-{number}",
        "taskTitle": "Fix login",
        "assigneeId": f"person-{number % PEOPLE}",
        "assigneeName": "Ana",
        "assignerId": "bo",
        "assignerName": "Bo",
        "projectName": "House",
        "dueDate": None,
    }


def _load(stack: Stack, name: str, workers: set[str]) -> int:
    """Triggers in waves, a few of them ahead, until each of the workers has sent some; returns how many."""
    before = stack.shares()
    with stack.notify() as notify:
        for wave in range(MOST):
            notify.trigger_many(
                {
                    "workflow": "task-assigned",
                    "to": f"person-{one}",
                    "payload": _task(one),
                    "transaction_id": f"{name}-{wave}-{one}",
                }
                for one in range(PEOPLE)
            )
            if wave + 1 >= LEAST and workers <= set(stack.shares() - before):
                return PEOPLE * (wave + 1)
            eventually_sync(lambda: _undone(stack) < FEW, "the workers keep up", within=60)
    pytest.fail(f"{MOST * PEOPLE} triggers, and only these workers took any: {stack.shares() - before}")


def _undone(stack: Stack) -> int:
    """How many events wait to be matched, and notifications to be worked on."""
    unmatched = sa.select(sa.func.count()).where(events.c.matched_at.is_(None))
    ready = sa.select(sa.func.count()).where(notifications.c.status == NotificationStatus.READY)
    return stack.rows(unmatched)[0][0] + stack.rows(ready)[0][0]


def _everything_told(stack: Stack, count: int) -> bool:
    n = notifications.c
    done = stack.rows(sa.select(sa.func.count()).where(n.status == NotificationStatus.COMPLETED))[0][0]
    return done == count == len(stack.sent())


def _audited(stack: Stack, count: int) -> None:
    """Nothing lost, nothing decided twice, and each message known by the one id it has."""
    m = messages.c
    audit = stack.command("notify", "audit")
    assert audit.returncode == 0, audit.stdout
    assert "nothing lost, nothing decided twice" in audit.stdout
    decided = Counter(row[0] for row in stack.rows(sa.select(m.channel)))
    assert decided == {"in_app": count, "email": count, "push": count}
    sent = stack.rows(sa.select(m.id, m.attempts).where(m.channel == "email", m.status == "sent"))
    assert {id_ for id_, _ in sent} == set(stack.sent())
    # In two homes is only what the killed one had called for without living to say so.
    assert {id_ for id_, count in stack.sent().items() if count > 1} <= {id_ for id_, tries in sent if tries > 1}


def _has_nothing_more(stack: Stack, worker: str) -> bool:
    """Nothing is ready, and no run is at work in this worker: what is held still is held by another one."""
    ready = sa.select(sa.func.count()).where(notifications.c.status == NotificationStatus.READY)
    holder = sa.select(leases.c.holder).where(leases.c.name == f"worker/{worker}").scalar_subquery()
    at_work = sa.select(sa.func.count()).where(flow_runs.c.worker == holder)
    return stack.rows(ready)[0][0] == 0 == stack.rows(at_work)[0][0]


def _ask(stack: Stack, deployment: str, **parameters: Any) -> str:
    """Ask the server for a run, as its page does; its id."""
    id_ = stack.api("GET", f"deployments/name/{deployment}")["id"]
    return stack.api("POST", f"deployments/{id_}/create_flow_run", parameters=parameters)["id"]


def _a_minute_passes(stack: Stack) -> None:
    """The leases of whoever is gone have run out."""
    past = sa.func.now() - sa.text("interval '1 second'")
    for table in (notifications, messages):
        stack.rows(table.update().where(table.c.lease_until.is_not(None)).values(lease_until=past))
    stack.rows(leases.update().where(leases.c.name != "worker/worker-2").values(until=past))


def test_two_workers_share_the_work_and_one_finishes_what_the_killed_one_held(stack: Stack) -> None:
    first = _load(stack, "first", {"worker-1", "worker-2"})
    eventually_sync(lambda: _everything_told(stack, first), "the first load is told", within=60)
    print(f"{first} triggers: {dict(stack.shares())}")
    _audited(stack, first)

    second = _load(stack, "second", {"worker-1"})
    stack.kill("worker-1")
    eventually_sync(lambda: _has_nothing_more(stack, "worker-2"), "the other one goes on", within=60)
    _a_minute_passes(stack)
    _ask(stack, "sweep/cron")
    eventually_sync(lambda: _everything_told(stack, first + second), "the second load is told", within=60)
    print(f"{second} triggers, worker-1 killed: {dict(stack.shares())}")
    _audited(stack, first + second)

    assert not stack.is_well("worker", "worker-1")
    assert stack.is_well("worker", "worker-2")


def test_setting_up_again_changes_nothing(stack: Stack) -> None:
    listed = _registered(stack)

    again = stack.run("setup")

    assert len(listed) == len([line for line in again.splitlines() if "/" in line and "//" not in line]) // 2
    assert _registered(stack) == listed


def _registered(stack: Stack) -> dict[str, Any]:
    """Deployment → what it is, without the instant at which it was last looked at."""
    found = stack.api("POST", "deployments/filter", sort="NAME_ASC")
    kept = ("name", "entrypoint", "tags", "schedules", "parameter_openapi_schema", "work_pool_name", "pull_steps")
    made = [{name: one[name] for name in kept} | {"schedules": _crons(one)} for one in found]
    return {one["id"]: what for one, what in zip(found, made, strict=True)}


def _crons(deployment: Any) -> list[Any]:
    return [(one["schedule"], one["active"]) for one in deployment["schedules"]]


def test_a_pool_without_workers_says_so_to_the_first_that_comes_back(stack: Stack) -> None:
    for worker in [name for name in stack.processes if name.startswith("worker-")]:
        stack.kill(worker)
    said = "The work pool had no worker. Start one with `notify work`."

    def asked_for() -> list[Any]:
        found = stack.api("POST", "flow_runs/filter", flows={"name": {"any_": ["alert-on-failure"]}})
        alerts = [run for run in found if run["parameters"].get("payload", {}).get("error") == {"message": said}]
        return [run["id"] for run in alerts if run["state"]["type"] == "SCHEDULED"]

    [run] = eventually_sync(asked_for, "an alert is asked for", within=120) or []
    stack.start("worker", "worker-3")

    def done() -> bool:
        return stack.api("GET", f"flow_runs/{run}")["state"]["type"] == "COMPLETED"

    eventually_sync(done, "the alert is carried out", within=120)


def test_the_same_deployments_run_on_a_stock_pool(stack: Stack, tmp_path: Path) -> None:
    for worker in [name for name in stack.processes if name.startswith("worker-")]:
        stack.kill(worker)
    shutil.copytree(ROOT / "flows", tmp_path / "flows")
    listed = (ROOT / "prefect.yaml").read_text()
    (tmp_path / "prefect.yaml").write_text(
        listed.replace("pool: &pool\n    name: notify", "pool: &pool\n    name: stock")
    )
    flows = {"NOTIFY_FLOWS": str(tmp_path / "flows")}
    early = stack.command("notify", "deploy", **flows)
    stack.api("POST", "work_pools/", name="stock", type="process")

    assert (early.returncode, early.stderr.count("\n")) == (1, 1)
    assert "prefect work-pool create stock" in early.stderr
    assert stack.command("notify", "deploy", **flows).returncode == 0
    before = stack.rows(sa.select(sa.func.count(messages.c.id)))[0][0]
    flow_run = _ask(stack, "task-assigned/notify", payload=_task(1), to=["person-1"])
    worker = ("prefect", "worker", "start", "--pool", "stock", "--type", "process", "--run-once")
    done = stack.command(*worker, **flows)

    state = stack.api("GET", f"flow_runs/{flow_run}")["state"]
    assert state["type"] == "COMPLETED", (state, done.stdout[-2000:], done.stderr[-2000:])
    assert "2 messages" in state["message"]
    assert stack.rows(sa.select(sa.func.count(messages.c.id)))[0][0] == before + 3
    assert len(list((stack.folder / "terminal" / "sent" / "email").glob("*.eml"))) == 1


@pytest.mark.parametrize("name", [service.name for service in Compose(example()).in_order()])
def test_nothing_starts_with_the_secrets_of_the_example(name: str, tmp_path: Path) -> None:
    service = Compose(example()).services[name]
    kept = {"PATH": os.environ["PATH"]}

    done = subprocess.run(
        ["sh", str(START), "touch", "started"],
        cwd=tmp_path,
        env=kept | service.environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, list(tmp_path.iterdir())) == (78, [])
    secret = "POSTGRES_PASSWORD" if name == "postgres" else "PREFECT_SERVER_API_AUTH_STRING"
    assert secret in done.stderr
    assert "example" in done.stderr
