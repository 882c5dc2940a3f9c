"""What the server does by itself when something goes wrong: the shipped automations, each set off for real."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from notify.store.tables import messages
from tests.engine.dev_world import PATIENCE, ROOT
from tests.engine.operator_world import Operator
from tests.eventually import eventually_sync

pytestmark = pytest.mark.long

ALERT = "alert-on-failure"


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory, known_to_prefect: Callable[[Path], Path]) -> Iterator[Operator]:
    made = Operator.at(tmp_path_factory.mktemp("automations"))
    known_to_prefect(made.home)
    shutil.copy(ROOT / "flows" / "alert_on_failure.py", made.flows)
    shutil.copytree(ROOT / "flows" / "templates" / ALERT, made.flows / "templates" / ALERT)
    for shared in (ROOT / "flows" / "templates").glob("_*.j2"):
        shutil.copy(shared, made.flows / "templates")
    made.start()
    yield made
    made.stop()


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
    operator.pause_and_hear("notify", "The work pool notify is paused")
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
