"""An operator's hand on what waits and on what runs: Cancel, Delete, Retry; obeyed, and still so three sweeps later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from notify.store.tables import alarms, notifications
from tests.engine.dev_world import PATIENCE
from tests.engine.operator_world import Operator, soon
from tests.eventually import eventually_sync

pytestmark = pytest.mark.long

CANCELLED = ("cancelled", "cancelled_in_prefect")
BROKEN = "{% block subject %}News{% endblock %}\n{% block body %}\n{{ payload.taskUrl }}{% endblock %}\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, known_to_prefect: Callable[[Path], Path]) -> Iterator[Operator]:
    made = Operator.at(tmp_path_factory.mktemp("operator"))
    known_to_prefect(made.home)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def operator(place: Operator) -> Operator:
    place.start()
    return place


def _later(**length: float) -> str:
    return soon(datetime.now(UTC) + timedelta(**length))


def _wake_until(operator: Operator, at: str) -> str:
    """The flow run that stands for this instant."""
    a = alarms.c
    query = sa.select(a.flow_run).where(a.bucket >= datetime.fromisoformat(at), a.flow_run.is_not(None))
    [row] = eventually_sync(
        lambda: operator.rows(query.order_by(a.bucket).limit(1)), f"a wake-up until {at} stands", within=PATIENCE
    )
    return row.flow_run


# --- what waits ---------------------------------------------------------------------------------


def test_cancelling_a_wake_up_cancels_who_waits_for_it_for_good(operator: Operator) -> None:
    flow_run, pair = _cancelled_in_time(operator)
    operator.sweep()
    operator.trigger("reminder", "after", payload={"at": _later(seconds=26)})
    gone = dict.fromkeys(pair, CANCELLED)

    assert operator.settled("reminder", *pair) == gone
    # Whoever wakes after their instant has come is told: then theirs has come too.
    assert operator.settled("reminder", "after") == {"after": ("completed", None)}
    operator.sweep()
    assert operator.settled("reminder", *pair) == gone
    assert operator.of(*pair) == {}
    assert operator.flow_run(flow_run)["state"]["type"] == "CANCELLED"


def _cancelled_in_time(operator: Operator) -> tuple[str, list[str]]:
    """A wake-up cancelled before its instant, and who waited for it: a slow machine gets a later instant."""
    for seconds in (25, 60, 180):
        pair = [f"wa{seconds}", f"wb{seconds}"]
        at = _later(seconds=seconds)
        operator.trigger("reminder", *pair, payload={"at": at})
        flow_run = _wake_until(operator, at)
        operator.cancel(flow_run)
        if _later() < at:
            return flow_run, pair
    raise AssertionError("no wake-up could be cancelled before its instant")


def test_cancelling_before_the_instant_wins_over_a_batch_at_work(operator: Operator) -> None:
    """The workflow is kept busy, so that no flow run need start for the instant to be noticed."""
    instants = {f"race{place}": _later(seconds=20 + place) for place in range(6)}
    for person, at in instants.items():
        operator.trigger("reminder", person, payload={"at": at})
    wakes = {person: _wake_until(operator, at) for person, at in instants.items()}
    gone: set[str] = set()
    for person in ("race1", "race3", "race5"):
        operator.cancel(wakes[person])
        if _later() < instants[person]:
            gone.add(person)
    assert gone, "none could be cancelled before its instant"
    kept = {"race0", "race2", "race4"}

    found = operator.settled("reminder", *instants)

    assert {found[person] for person in gone} == {CANCELLED}
    assert {found[person] for person in kept} == {("completed", None)}
    told = {(person, *how) for person in kept for how in (("in_app", "delivered"), ("email", "sent"))}
    eventually_sync(lambda: told <= set(operator.of(*kept)), "their letters are sent", within=PATIENCE)
    assert set(operator.of(*kept, *gone)) == told


def test_deleting_a_wake_up_changes_nothing(operator: Operator) -> None:
    at = _later(hours=3)
    operator.trigger("reminder", "deleted", payload={"at": at})
    first = _wake_until(operator, at)

    operator.delete(first)
    operator.sweep()

    second = eventually_sync(lambda: _other(operator, at, first), "another one stands for it", within=PATIENCE)
    assert second is not None
    assert operator.flow_run(second)["state"]["type"] == "SCHEDULED"
    assert operator.statuses("reminder")["deleted"] == ("waiting", None)


def _other(operator: Operator, at: str, first: str) -> str | None:
    found = _wake_until(operator, at)
    return found if found != first else None


# --- what runs ----------------------------------------------------------------------------------


def test_cancelling_a_running_batch_cancels_what_it_holds(operator: Operator) -> None:
    people = ["ca", "cb", "cc"]
    operator.trigger("slow", *people)
    with operator.held_at_the_gate(*people):
        flow_run = operator.running("slow/batch")["id"]
        operator.cancel(flow_run)
        eventually_sync(lambda: f"({flow_run}) is cancelled" in operator.said, "it is noticed", within=PATIENCE)

    state = operator.ended(flow_run)
    operator.sweep()

    assert state["type"] == "CANCELLED"
    assert state["message"].startswith("Stopped: 0 of 3 notifications were done (3 people, 3 messages); 3 cancelled")
    assert state["message"].endswith("Pause the deployment to hold new ones.")
    assert operator.settled("slow", *people) == dict.fromkeys(people, CANCELLED)
    assert operator.of(*people) == {(person, "email", "sent"): 1 for person in people}


def test_cancelling_a_run_started_by_hand_cancels_its_people(operator: Operator) -> None:
    operator.know("ha", "hb")
    flow_run = operator.asked("slow/notify", payload={}, to=["ha", "hb"])
    with operator.held_at_the_gate("ha", "hb"):
        operator.cancel(flow_run)
        eventually_sync(lambda: f"({flow_run}) is cancelled" in operator.said, "it is noticed", within=PATIENCE)

    state = operator.ended(flow_run)
    operator.sweep()

    assert (state["type"], "2 cancelled" in state["message"]) == ("CANCELLED", True)
    assert operator.settled("slow", "ha", "hb") == {"ha": CANCELLED, "hb": CANCELLED}
    assert operator.of("ha", "hb") == {("ha", "email", "sent"): 1, ("hb", "email", "sent"): 1}


def test_suspending_a_running_batch_gives_its_people_to_another(operator: Operator) -> None:
    operator.trigger("slow", "sa", "sb")
    with operator.held_at_the_gate("sa", "sb"):
        flow_run = operator.running("slow/batch")["id"]
        operator.suspend(flow_run)
        eventually_sync(lambda: f"({flow_run}) is suspended" in operator.said, "it is noticed", within=PATIENCE)

    made = (("email", "sent"), ("in_app", "delivered"))
    told = {(person, *message): 1 for person in ("sa", "sb") for message in made}
    assert operator.settled("slow", "sa", "sb") == {"sa": ("completed", None), "sb": ("completed", None)}
    assert operator.of("sa", "sb") == told
    assert operator.flow_run(flow_run)["state"]["type"] == "PAUSED"
    operator.call("POST", f"/flow_runs/{flow_run}/resume")
    assert operator.ended(flow_run)["type"] == "COMPLETED"
    assert operator.of("sa", "sb") == told


def test_deleting_a_running_run_changes_nothing(operator: Operator) -> None:
    operator.trigger("slow", "da", "db")
    with operator.held_at_the_gate("da", "db"):
        operator.delete(operator.running("slow/batch")["id"])

    assert operator.settled("slow", "da", "db") == {"da": ("completed", None), "db": ("completed", None)}
    # The worker lives on.
    assert operator.run_now("linked/notify", payload={}, to=["da"])["type"] == "COMPLETED"


# --- what failed --------------------------------------------------------------------------------


def test_retrying_a_degraded_run_tells_who_was_not_told_and_nobody_twice(operator: Operator) -> None:
    operator.know("fa", "fb")
    (operator.folder / "broken-fb").touch()
    flow_run = operator.asked("flaky/notify", payload={}, to=["fa", "fb"])
    first = operator.ended(flow_run)
    told = operator.of("fa", "fb")
    (operator.folder / "broken-fb").unlink()

    second = operator.retried(flow_run)

    assert (first["type"], first["name"]) == ("COMPLETED", "Degraded")
    assert "1 failed: Step 'fetch' failed: the shop does not answer" in first["message"]
    assert first["message"].endswith("Mend it and retry this run: only what failed is done again.")
    assert (second["type"], second["name"]) == ("COMPLETED", "Completed")
    assert told[("fb", "in_app", "delivered")] == 1
    assert operator.of("fa", "fb") == {
        (person, channel, status): 1
        for person in ("fa", "fb")
        for channel, status in (("in_app", "delivered"), ("email", "sent"))
    }
    assert (operator.folder / "fetched").read_text().split().count("fa") == 1
    operator.sweep()
    assert operator.settled("flaky", "fa", "fb") == {"fa": ("completed", None), "fb": ("completed", None)}


def test_a_failed_batch_names_template_line_and_value_and_is_finished_by_a_retry(operator: Operator) -> None:
    reloads = operator.said.count("Reloaded: ")
    good = (operator.flows / "templates" / "linked" / "news.email.j2").read_text()
    operator.template("linked", "news.email", BROKEN)
    eventually_sync(lambda: operator.said.count("Reloaded: ") > reloads, "it reloads", within=PATIENCE)
    operator.trigger("linked", "la", "lb", payload={"task": 1})
    assert operator.settled("linked", "la", "lb") == dict.fromkeys(["la", "lb"], ("failed", "channel_failed"))
    [flow_run] = {row.failed_in for row in operator.rows(sa.select(notifications.c.failed_in)) if row.failed_in}
    first = operator.ended(flow_run)

    operator.template("linked", "news.email", good)
    eventually_sync(lambda: operator.said.count("Reloaded: ") > reloads + 1, "it reloads", within=PATIENCE)
    second = operator.retried(flow_run)

    assert first["type"] == "FAILED"
    assert "2 failed: news.email: linked/news.email.j2 line 3: `taskUrl` is missing" in first["message"]
    assert (second["type"], second["name"]) == ("COMPLETED", "Completed")
    assert operator.settled("linked", "la", "lb") == {"la": ("completed", None), "lb": ("completed", None)}
    assert operator.of("la", "lb") == {
        (person, channel, status): 1
        for person in ("la", "lb")
        for channel, status in (("in_app", "delivered"), ("email", "sent"))
    }


def test_a_run_that_cannot_be_worked_says_why_in_a_sentence(operator: Operator) -> None:
    state = operator.run_now("linked/notify", payload={})

    assert state["type"] == "FAILED"
    assert state["message"].startswith("to: is empty. Name subscriber ids: the workflow knows nobody itself.")
    assert state["message"].endswith("mend the cause and retry this run; it finishes the rest.")


def test_what_the_operator_did_leaves_nothing_lost_or_doubled(operator: Operator) -> None:
    done = operator.run("notify", "audit")

    assert done.returncode == 0, done.stdout + done.stderr
