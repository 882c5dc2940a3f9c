"""What a rehearsal does with people, events and time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from notify.errors import BrokenWorkflowFile, InvalidInput
from notify.model import Channel, Outcome, OutcomeKind
from notify.testing import Rehearsal, rehearsal
from tests.contracts.rehearsing_world import MONDAY, write


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("flows"))


@pytest.fixture
def r(flows: Path) -> Iterator[Rehearsal]:
    with rehearsal(MONDAY, flows=flows) as opened:
        yield opened


# --- what was sent --------------------------------------------------------------------------------


def test_messages_stand_in_the_order_of_events_and_steps_and_then_of_channels(r: Rehearsal) -> None:
    r.trigger("now", to=["zoe", "ana"], payload={"says": "one"})
    r.emit("it/happened", {"who": "ana", "says": "two"})

    sent = r.sent()

    assert [(one.person, one.subject) for one in sent if one.step == "first"] == [
        ("ana", "one"),
        ("zoe", "one"),
        ("ana", "two"),
    ]
    assert r.sent("zoe").channels == ["email", "in_app", "email", "push"]
    assert [one.step for one in r.sent("zoe")] == ["first", "all", "all", "all"]


def test_one_channel_of_one_person_or_of_everybody(r: Rehearsal) -> None:
    r.trigger("now", to=["ana", "ben"])

    assert r.sent("ana", "email").subjects == ["first", "all"]
    assert [one.person for one in r.sent(channel="push")] == ["ana", "ben"]
    assert r.sent("ben", "push").bodies == ["…"]


def test_times_are_those_of_the_persons_own_clock(r: Rehearsal) -> None:
    r.person("cy", timezone="Asia/Kolkata")

    r.trigger("now", to="cy")

    assert r.sent("cy", "push").times == ["2026-03-02 13:30"]


# --- time -----------------------------------------------------------------------------------------


def test_time_stops_wherever_something_is_due(r: Rehearsal) -> None:
    r.emit("it/began", {"who": "ana", "id": 1})
    r.emit("it/began", {"who": "ben", "id": 2}, ts="2026-03-02 09:30")
    r.emit("it/repeated", {"who": "ana"})

    r.advance("1d")

    assert [(one.person, one.subject, one.at.strftime("%H:%M")) for one in r.sent()] == [
        ("ana", "1 in a day", "09:10"),
        ("ana", "1 at once", "09:15"),
        ("ana", "hour", "10:00"),
        ("ben", "hour", "10:30"),
        ("ana", "two", "11:00"),
        ("ben", "two", "11:30"),
    ]


def test_a_message_is_tried_again_when_its_time_comes(r: Rehearsal) -> None:
    answers = iter([OutcomeKind.RETRY, OutcomeKind.RETRY, OutcomeKind.ACCEPTED])
    r.providers[Channel.PUSH].script = lambda _: Outcome(next(answers))

    r.trigger("now", to="ana")
    r.advance("1h")

    assert r.sent("ana", "push").times == ["2026-03-02 09:00:40"]


@pytest.mark.parametrize(
    ("step", "then"),
    [
        ({"text": "1d"}, "2026-03-29 22:00"),
        ({"days": 1}, "2026-03-29 22:00"),
        ({"text": "24h"}, "2026-03-29 23:00"),
        ({"text": "4h30m"}, "2026-03-29 03:30"),
        ({"months": 1}, "2026-04-28 22:00"),
    ],
)
def test_days_keep_the_time_of_day_and_hours_do_not(step: dict[str, Any], then: str, flows: Path) -> None:
    with rehearsal("2026-03-28 22:00 Europe/Rome", flows=flows) as r:
        assert r.advance(**step) == r.now
        assert f"{r.now:%Y-%m-%d %H:%M}" == then


def test_a_time_is_told_in_the_rehearsals_zone_unless_it_names_another(r: Rehearsal) -> None:
    r.advance_to("2026-04-01 09:00")
    assert r.now.isoformat() == "2026-04-01T09:00:00+02:00"

    r.advance_to("2026-04-01 09:00 America/New_York")
    assert r.now.isoformat() == "2026-04-01T15:00:00+02:00"


# --- people ---------------------------------------------------------------------------------------


def test_whoever_was_not_named_is_reached_on_every_channel_and_lives_here(r: Rehearsal) -> None:
    r.trigger("now", to=["ana", {"subscriberId": "ben", "firstName": "Ben"}])

    assert set(r.sent("ana").channels) == set(r.sent("ben").channels) == {"in_app", "email", "push"}
    assert r.notify.subscribers.get("ben").timezone == "Europe/Rome"
    assert r.notify.subscribers.get("ben").first_name == "Ben"


def test_what_a_test_says_of_somebody_stands(r: Rehearsal) -> None:
    r.person("ana", email=None, phone=None, push=None, first_name="Ana")
    r.trigger("now", to="ana")
    r.person("ana", email="ana@example.org")
    r.trigger("now", to="ana")

    assert r.sent("ana").channels == ["in_app", "email", "in_app", "email"]
    assert {mail.address for mail in r.providers[Channel.EMAIL].accepted} == {"ana@example.org"}


def test_whoever_has_read_it_is_not_written_to(r: Rehearsal) -> None:
    r.trigger("read", to=["ana", "ben"])

    assert r.read("ana", "hello") == 1
    assert r.read("ana") == 0
    r.advance("1h")

    assert (r.sent("ana", "email").subjects, r.sent("ben", "email").subjects) == ([], ["hour"])


def test_a_choice_may_be_made_before_anything_happens(r: Rehearsal) -> None:
    r.prefer("ana", None, "in_app", False)
    r.prefer("ana", "now", "push", False)

    r.trigger("now", to="ana")

    assert r.sent("ana").channels == ["email", "email"]


def test_what_was_cancelled_does_not_happen(r: Rehearsal) -> None:
    told = r.emit("it/began", {"who": ["ana", "ben"], "id": 1})

    assert r.cancel(told) == 2
    r.advance("3h")

    assert r.sent() == []


# --- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda r: r.emit("it/happend", {}), "name: no workflow listens to 'it/happend'. Did you mean 'it/happened'?"),
        (lambda r: r.emit("else", {}), "name: no workflow listens to 'else'. Declare it with @event if nothing is to"),
        (lambda r: r.trigger("nwo", to="ana"), "No workflow is called 'nwo'. Known here: breaks, burst, daily, later"),
        (lambda r: r.prefer("ana", "nwo", "email", True), "No workflow is called 'nwo'"),
        (lambda r: r.prefer("ana", "now", "fax", True), "channel: no channel is called 'fax'. Use one of in_app"),
        (lambda r: r.sent("anna"), "person: nobody called 'anna' took part. Did you mean 'ana'?"),
        (lambda r: r.sent("zoe"), "person: nobody called 'zoe' took part. Name somebody whom nothing concerns first:"),
        (lambda r: r.sent("ana", "fax"), "channel: no channel is called 'fax'"),
        (lambda r: r.read("ana", "hello"), "step: ana has no unread in-app message of step 'hello'. Unread is: all"),
        (lambda r: r.person("ana", timezone="Europe/Rom"), "timezone: no zone is called 'Europe/Rom'. Did you mean"),
        (lambda r: r.person("ana", nickname="A"), "person.nickname: not a field of a person"),
        (lambda r: r.advance("soon"), "length: 'soon' is no length of time"),
        (lambda r: r.advance(), "length: {} is no wait"),
        (lambda r: r.advance("3d", hours=2), "length: '3d' does not go with hours. Use one of them"),
        (lambda r: r.advance_to("2026-03-02 08:59"), "at: 2026-03-02 08:59 is before 2026-03-02 09:00. Time goes"),
        (lambda r: r.advance_to("tomorrow"), "at: 'tomorrow' is no date and time"),
    ],
)
def test_a_mistake_is_refused_in_one_sentence(r: Rehearsal, call: Any, said: str) -> None:
    r.trigger("now", to="ana")

    with pytest.raises(InvalidInput) as refused:
        call(r)

    assert str(refused.value).startswith(said)


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("2026-03-02 09:00", "at: '2026-03-02 09:00' names no zone. Write it like"),
        ("2026-03-02 09:00 Europe/Rom", "at: no zone is called 'Europe/Rom'. Did you mean 'Europe/Rome'?"),
        ("2026-02-30 09:00 UTC", "at: '2026-02-30 09:00' is no date and time"),
        ("", "at: '' names no zone"),
    ],
)
def test_a_rehearsal_begins_at_an_instant_of_a_zone(at: str, said: str, flows: Path) -> None:
    with pytest.raises(InvalidInput) as refused, rehearsal(at, flows=flows):
        pass

    assert str(refused.value).startswith(said)


def test_there_is_one_clock(r: Rehearsal, flows: Path) -> None:
    with pytest.raises(InvalidInput, match="another one is open"), rehearsal(MONDAY, flows=flows):
        pass


def test_a_folder_without_workflows_or_with_a_broken_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="flows: there is no folder"), rehearsal(MONDAY, flows=tmp_path / "flow"):
        pass
    with pytest.raises(InvalidInput, match="flows: there is no workflow in"), rehearsal(MONDAY, flows=tmp_path):
        pass
    (tmp_path / "one.py").write_text("one two")
    with pytest.raises(BrokenWorkflowFile), rehearsal(MONDAY, flows=tmp_path):
        pass


def test_an_event_that_is_only_declared_or_ends_something_may_happen(r: Rehearsal) -> None:
    r.emit("it/began", {"who": "ana", "id": 1})
    r.emit("it/noted")
    r.emit("it/ended", {"id": 1})

    r.advance("3h")

    assert r.sent("ana") == []


def test_an_event_that_a_workflow_only_waits_for_may_happen_before_anybody_waits(tmp_path: Path) -> None:
    flows = write(tmp_path)
    with (flows / "flows.py").open("a") as file:
        file.write(_WAITS)
    with rehearsal(MONDAY, flows=flows) as r:
        r.emit("it/came")

        assert r.sent() == []


_WAITS = """

@workflow("waits")
async def waits(n: Notification[dict[str, Any]]) -> None:
    await n.wait_for_event("came", "it/came", days=1)
"""


# --- what it is made of ---------------------------------------------------------------------------


def test_a_rehearsal_begins_with_nothing_of_the_one_before(flows: Path) -> None:
    for _ in range(2):
        with rehearsal(MONDAY, flows=flows) as r:
            assert r.sent() == []
            r.trigger("now", to="ana", transaction_id="the same")
            assert len(r.sent("ana")) == 4


def test_a_template_that_was_changed_is_read_again(tmp_path: Path) -> None:
    flows = write(tmp_path)
    for word in ("hello", "goodbye"):
        file = flows / "templates" / "now" / "first.email.j2"
        file.write_text(f"{{% block subject %}}{word}{{% endblock %}}{{% block body %}}…{{% endblock %}}")
        with rehearsal(MONDAY, flows=flows) as r:
            r.trigger("now", to="ana")
            assert r.sent("ana", "email").subjects[0] == word


async def test_a_test_that_runs_in_a_loop_of_its_own_may_rehearse(r: Rehearsal) -> None:
    r.emit("it/began", {"who": "ana", "id": 1})
    r.advance("1h")

    assert r.sent("ana").subjects == ["hour"]


def test_nothing_of_prefect_is_loaded(flows: Path) -> None:
    script = f"""
import sys
from notify.testing import rehearsal
with rehearsal({MONDAY!r}, flows={str(flows)!r}) as r:
    r.emit("it/repeated", {{"who": "ana"}})
    r.advance("1d")
    print(r.sent("ana").subjects, [name for name in ("prefect", "pandas") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert (done.stdout.strip(), done.stderr) == ("['1 in a day', '1 at once'] []", "")
