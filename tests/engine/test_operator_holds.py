"""An operator's hand on what is to come: pauses, limits, priorities, dry runs, and what the server does by itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import sqlalchemy as sa

from notify import registry
from notify.engine import deploy
from notify.engine.batch import BATCH
from notify.errors import InvalidInput
from notify.store.tables import messages, notifications
from tests.engine.dev_world import PATIENCE, ROOT
from tests.engine.operator_world import Operator
from tests.eventually import eventually_sync

pytestmark = pytest.mark.long

ALERT = "alert-on-failure"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    folder = tmp_path_factory.mktemp("holds")
    (folder / "flows").mkdir()
    made = Operator(folder / ".notify", folder / "flows")
    made.prepare()
    shutil.copy(ROOT / "flows" / "alert_on_failure.py", made.flows)
    shutil.copytree(ROOT / "flows" / "templates" / ALERT, made.flows / "templates" / ALERT)
    for shared in (ROOT / "flows" / "templates").glob("_*.j2"):
        shutil.copy(shared, made.flows / "templates")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def operator(place: Operator) -> Operator:
    return place


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


def _paused(operator: Operator, what: str, said: str) -> None:
    times = operator.said.count(said)
    operator.pause(what, paused=True)
    eventually_sync(lambda: operator.said.count(said) > times, "the worker says so", within=PATIENCE)


def _ready(operator: Operator, workflow: str, *people: str) -> bool:
    found = operator.statuses(workflow)
    return all(found.get(person) == ("ready", None) for person in people)


def test_a_paused_pool_holds_and_a_resumed_one_drains_the_most_urgent_first(operator: Operator) -> None:
    many = [f"many{place}" for place in range(BATCH + 1)]
    _paused(operator, "notify", "The work pool notify is paused")

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
    _paused(operator, "mail/batch", "mail is paused")

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
    _paused(operator, "notify", "The work pool notify is paused")
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


# --- automations --------------------------------------------------------------------------------


def _automations(operator: Operator) -> dict[str, str]:
    return {one["name"]: one["id"] for one in operator.read("automations")}


def _tell_whoever_is_on_call(operator: Operator) -> None:
    """The automations as they are shipped, with recipients."""
    file = operator.folder / "deployments" / "automations.yaml"
    file.parent.mkdir(exist_ok=True)
    shipped = (ROOT / "deployments" / "automations.yaml").read_text()
    file.write_text(shipped.replace("      payload:\n", "      to: [oncall]\n      payload:\n"))
    operator.know("oncall")
    assert operator.run("notify", "deploy").returncode == 0


def _alerts(operator: Operator, subject: str) -> list[str]:
    """What whoever is on call was told under this subject."""
    m = messages.c
    query = sa.select(m.content).where(m.workflow == ALERT, m.subscriber == "oncall", m.channel == "in_app")
    return [row.content["body"] for row in operator.rows(query) if row.content["subject"] == subject]


def test_deploying_applies_the_automations_once_and_a_degraded_run_sets_one_off(operator: Operator) -> None:
    assert operator.run("notify", "deploy").returncode == 0
    first = _automations(operator)
    assert operator.run("notify", "deploy").returncode == 0
    again = _automations(operator)
    _tell_whoever_is_on_call(operator)
    changed = {one["name"]: one for one in operator.read("automations")}

    assert len(first) == 3
    assert first == again == {name: one["id"] for name, one in changed.items()}
    assert all(one["actions"][0]["parameters"]["to"] == ["oncall"] for one in changed.values())
    operator.know("ga", "gb")
    (operator.folder / "broken-gb").touch()
    state = operator.run_now("flaky/notify", payload={}, to=["ga", "gb"])
    assert state["name"] == "Degraded"

    def told() -> list[str]:
        return _alerts(operator, "flaky failed")

    [body] = eventually_sync(told, "whoever is on call is told", within=PATIENCE) or []
    assert body.startswith("Degraded: 2 people, ")


def test_a_late_run_sets_one_off_which_is_told_once_the_pool_is_resumed(operator: Operator) -> None:
    _tell_whoever_is_on_call(operator)
    _paused(operator, "notify", "The work pool notify is paused")
    operator.know("la")

    late = operator.asked("linked/notify", payload={}, to=["la"])

    def asked_for() -> bool:
        return bool(operator.runs(f"{ALERT}/notify", state={"type": {"any_": ["SCHEDULED"]}}))

    eventually_sync(asked_for, "the server asks for the alert", within=PATIENCE)
    assert operator.flow_run(late)["state"]["name"] == "Late"
    operator.pause("notify", paused=False)
    name = operator.flow_run(late)["name"]

    def told() -> bool:
        return any(body.startswith(f"{name} is late. ") for body in _alerts(operator, "linked failed"))

    eventually_sync(told, "whoever is on call is told", within=PATIENCE)
    assert operator.ended(late)["type"] == "COMPLETED"
