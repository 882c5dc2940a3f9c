"""An operator's hand on what is to come: pauses, limits, priorities and dry runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from notify import registry
from notify.engine import deploy
from notify.engine.batch import BATCH
from notify.errors import InvalidInput
from notify.store.tables import messages, notifications
from tests.engine.dev_world import PATIENCE
from tests.engine.operator_world import Operator
from tests.eventually import eventually_sync

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory, known_to_prefect: Callable[[Path], Path]) -> Iterator[Operator]:
    made = Operator.at(tmp_path_factory.mktemp("holds"))
    known_to_prefect(made.home)
    made.start()
    yield made
    made.stop()


# --- dry runs -----------------------------------------------------------------------------------


def test_a_dry_run_counts_people_in_plain_words_and_writes_nothing(operator: Operator) -> None:
    operator.know("ana", "bo", "out")
    with operator.notify() as notify:
        notify.subscribers.save([{"subscriberId": "mute"}])
        notify.preferences.set("out", "mail", "email", False)
    before = operator.counts()

    flow_run = operator.asked("mail/notify", payload={}, to=["ana", "bo", "out", "mute"], dry_run=True)
    state = operator.ended(flow_run)

    assert state["type"] == "COMPLETED"
    assert state["message"] == "2 would be told, 2 not: 1 opted out, 1 no address (dry run: nothing was sent)"
    assert operator.counts() == before
    [artifact] = operator.read("artifacts", artifacts={"flow_run_id": {"any_": [flow_run]}})
    assert [tuple(row.values()) for row in json.loads(artifact["data"])] == [
        ("ana", "email", "would be sent", ""),
        ("bo", "email", "would be sent", ""),
        ("out", "email", "would not be sent", "opted out"),
        ("mute", "email", "would not be sent", "no address"),
    ]


def test_a_dry_run_of_a_digest_closes_nothing(operator: Operator) -> None:
    _collect(operator, "da", "db")
    waiting = operator.statuses("day")
    before = operator.counts()

    state = operator.run_now("day/cron", until=_now(), dry_run=True)

    assert (state["type"], state["message"]) == (
        "COMPLETED",
        "2 would be told, 0 not (dry run: nothing was sent)",
    )
    assert operator.counts() == before
    assert operator.statuses("day") == waiting


def _collect(operator: Operator, *people: str) -> None:
    operator.know(*people)
    with operator.notify() as notify:
        for person in people:
            notify.emit("day/news", {"who": person})

    def collected() -> bool:
        found = operator.statuses("day")
        return all(found.get(person) == ("waiting", None) for person in people)

    eventually_sync(collected, "they collect", within=PATIENCE)


def _now() -> str:
    return (datetime.now(UTC) + timedelta(seconds=1)).isoformat()


# --- pauses -------------------------------------------------------------------------------------


def _ready(operator: Operator, workflow: str, *people: str) -> bool:
    found = operator.statuses(workflow)
    return all(found.get(person) == ("ready", None) for person in people)


def test_a_paused_pool_holds_and_a_resumed_one_drains_the_most_urgent_first(operator: Operator) -> None:
    many = [f"many{place}" for place in range(BATCH + 1)]
    operator.pause_and_hear("notify", "The work pool notify is paused")

    operator.trigger("linked", "pa")
    with operator.notify() as notify:
        notify.trigger("limited", to=many, priority="low")
        notify.trigger("limited", to=["first"], priority="high")
    eventually_sync(lambda: _ready(operator, "limited", "first"), "it is matched", within=PATIENCE)
    # Matching goes on in the worker's turns: in one of them the earlier ones would have been begun.
    assert _ready(operator, "linked", "pa")
    assert _ready(operator, "limited", *many)
    operator.pause("notify", paused=False)

    assert set(operator.settled("limited", "first", *many).values()) == {("completed", None)}
    assert operator.settled("linked", "pa") == {"pa": ("completed", None)}
    assert operator.of("pa") == {("pa", "in_app", "delivered"): 1, ("pa", "email", "sent"): 1}
    n = notifications.c
    mine = n.subscriber.in_(["first", *many])
    begun = dict(operator.rows(sa.select(n.subscriber, n.started_at).where(n.workflow == "limited", mine)))  # type: ignore
    assert begun["first"] == min(begun.values())
    assert begun["first"] < max(begun.values())
    m = messages.c
    count = sa.select(sa.func.count(), sa.func.count(m.subscriber.distinct()))
    count = count.where(m.workflow == "limited", m.subscriber.in_(["first", *many]))
    told = operator.rows(count)
    assert [tuple(row) for row in told] == [(BATCH + 2, BATCH + 2)]


def test_a_paused_deployment_holds_its_workflow_and_no_other(operator: Operator) -> None:
    operator.pause_and_hear("mail/batch", "mail is paused")

    operator.trigger("mail", "ma")
    operator.trigger("linked", "mb")

    assert operator.settled("linked", "mb") == {"mb": ("completed", None)}
    assert _ready(operator, "mail", "ma")
    operator.pause("mail/batch", paused=False)
    assert operator.settled("mail", "ma") == {"ma": ("completed", None)}


def test_late_runs_of_a_schedule_are_done_by_the_last_and_each_digest_is_sent_once(operator: Operator) -> None:
    """What a pause of years leaves of a yearly schedule, made by Prefect's own scheduler."""
    _collect(operator, "dc", "dd")
    digests = sum(status == "waiting" for status, _ in operator.statuses("day").values())
    operator.pause_and_hear("notify", "The work pool notify is paused")
    late = _backfilled(operator, "day/cron")
    operator.pause("notify", paused=False)

    states = [operator.ended(flow_run) for flow_run in late]

    assert operator.settled("day", "dc", "dd") == {"dc": ("completed", None), "dd": ("completed", None)}
    assert operator.of("dc", "dd") == {("dc", "in_app", "delivered"): 1, ("dd", "in_app", "delivered"): 1}
    assert [state["type"] for state in states] == ["COMPLETED"] * 5
    assert all(state["message"].startswith("Late: ") for state in states[:-1])
    assert states[-1]["message"].startswith(f"{digests} digests: {digests} people, {digests} messages")


def _backfilled(operator: Operator, name: str) -> list[str]:
    """The schedule's runs of the years past, which close what has come in until now, in their order."""
    deployment = operator.deployment(name)
    path = f"/deployments/{deployment['id']}"
    [schedule] = deployment["schedules"]
    operator.call("PATCH", f"{path}/schedules/{schedule['id']}", parameters={"until": _now()})
    years = {"start_time": "2021-06-01T00:00:00Z", "end_time": "2026-06-01T00:00:00Z", "min_runs": 5}
    operator.call("POST", f"{path}/schedule", **years)
    operator.call("PATCH", f"{path}/schedules/{schedule['id']}", parameters={})
    past = {"expected_start_time": {"before_": "2026-06-01T00:00:00Z"}, "deployment_id": {"any_": [deployment["id"]]}}
    return [run["id"] for run in operator.read("flow_runs", flow_runs=past, sort="EXPECTED_START_TIME_ASC")]


def test_a_schedule_switched_off_holds_until_it_is_switched_on(operator: Operator) -> None:
    """Also when a worker starts in between."""
    deployment = operator.deployment("day/cron")
    [schedule] = deployment["schedules"]
    path = f"/deployments/{deployment['id']}/schedules"
    operator.call("PATCH", f"{path}/{schedule['id']}", active=False)

    done = operator.run("notify", "deploy")

    assert done.returncode == 0, done.stderr
    [kept] = operator.deployment("day/cron")["schedules"]
    assert kept["active"] is False
    operator.call("PATCH", f"{path}/{kept['id']}", active=True)
    assert operator.run("notify", "deploy").returncode == 0
    [kept] = operator.deployment("day/cron")["schedules"]
    assert kept["active"] is True


# --- limits -------------------------------------------------------------------------------------


def test_a_workflow_s_limit_holds_the_warm_worker_too(operator: Operator) -> None:
    name = operator.deployment("limited/batch")["global_concurrency_limit"]["name"]
    known = {run["id"] for run in operator.runs("limited/batch")}
    slot = {"slots": 1, "names": [name], "mode": "concurrency"}
    increment = f"{operator.api}/v2/concurrency_limits/increment"
    taken = lambda: httpx.post(increment, json=slot, timeout=PATIENCE).is_success  # noqa: E731
    eventually_sync(taken, "the slot is free", within=PATIENCE)
    operator.trigger("limited", "xa")

    def awaiting() -> list[str]:
        new = [run for run in operator.runs("limited/batch") if run["id"] not in known]
        return [run["state"]["name"] for run in new]

    eventually_sync(lambda: awaiting() == ["AwaitingConcurrencySlot"], "it waits for a slot", within=PATIENCE)
    operator.trigger("limited", "xb")
    eventually_sync(lambda: _ready(operator, "limited", "xa", "xb"), "both are held", within=PATIENCE)
    operator.trigger("linked", "xc")
    assert operator.settled("linked", "xc") == {"xc": ("completed", None)}
    assert _ready(operator, "limited", "xa", "xb")
    assert len(awaiting()) == 1
    operator.call("POST", "/v2/concurrency_limits/decrement", **slot)

    assert operator.settled("limited", "xa", "xb") == {"xa": ("completed", None), "xb": ("completed", None)}
    assert operator.of("xa", "xb") == {("xa", "in_app", "delivered"): 1, ("xb", "in_app", "delivered"): 1}


def test_the_system_s_own_deployments_and_the_pool_take_no_limit(operator: Operator) -> None:
    listed = operator.folder / "limited.yaml"
    listed.write_text(
        "deployments:\n  - {name: cron, entrypoint: notify.engine.system_flows.sweep, concurrency_limit: 1}\n"
    )
    with pytest.raises(InvalidInput, match=r"limited\.yaml: sweep/cron: concurrency_limit: limits a system deployment"):
        deploy.listed(registry.load(operator.flows), listed)

    operator.call("PATCH", "/work_pools/notify", concurrency_limit=3)
    refused = operator.run("notify", "deploy")
    operator.call("PATCH", "/work_pools/notify", concurrency_limit=None)

    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "work pool notify: concurrency_limit: is 3. Run `prefect work-pool clear-concurrency-limit" in refused.stderr
