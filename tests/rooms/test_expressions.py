"""Match expressions over two events: what holds, what is missing, what is refused."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notify.errors import InvalidInput
from notify.expressions import MISSING, expression, path_value
from notify.model import Event, EventKind

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
NOON_MS = 1_774_785_600_000


def told(data: Any, name: str = "task/assigned", ts: datetime = NOON, **facts: Any) -> Event:
    return Event("uid", EventKind.EVENT, name, data, ts, NOON, **facts)


def holds(text: str, own: Any, candidate: Any) -> bool:
    return expression(text, "if").holds(told(own), told(candidate))


OWN = {"userId": "u1", "n": 1, "total": 99.5, "tags": ["a", "b"], "task": {"id": 7, "list": [1]}, "none": None}


@pytest.mark.parametrize(
    ("text", "candidate", "answer"),
    [
        ("data.userId", {"userId": "u1"}, True),
        ("userId", {"userId": "u1"}, True),
        (" event.data.userId ", {"userId": "u1"}, True),
        ("data.userId", {"userId": "u2"}, False),
        ("data.userId", {}, False),
        ("data.unheard", {}, False),
        ("data.none", {"none": None}, True),
        ("data.none", {}, False),
        ("data.n", {"n": 1.0}, True),
        ("data.n", {"n": "1"}, False),
        ("data.n", {"n": True}, False),
        ("task.id", {"task": {"id": 7}}, True),
        ("task.id", {"task": {"id": 8}}, False),
        ("task.id", {"task": 7}, False),
        ("task", {"task": {"list": [1.0], "id": 7}}, True),
        ("task", {"task": {"list": [2], "id": 7}}, False),
        ("event.name", {}, True),
        ("event.user", {}, False),
        ("event.data.userId == async.data.userId", {"userId": "u1"}, True),
        ("async.data.by == event.data.userId", {"by": "u1"}, True),
        ("async.data.by == event.data.userId", {"by": "u2"}, False),
        ('event.data.userId == async.data.userId && async.data.plan == "pro"', {"userId": "u1", "plan": "pro"}, True),
        ('event.data.userId == async.data.userId && async.data.plan == "pro"', {"userId": "u1", "plan": "x"}, False),
        ('event.data.userId == async.data.userId && async.data.plan == "pro"', {"userId": "u1"}, False),
        ('async.data.plan == "pro" || event.data.n == 1', {}, True),
        ("async.data.total > event.data.total", {"total": 100}, True),
        ("async.data.total > event.data.total", {"total": 99.5}, False),
        ("async.data.paid", {"paid": True}, True),
        ("async.data.paid", {"paid": False}, False),
        ("!has(async.data.paid)", {}, True),
        ("async.data.tag in event.data.tags", {"tag": "b"}, True),
        ("event.data.tags.exists(tag, tag == async.data.tag)", {"tag": "c"}, False),
        ('async.data["user-id"] == event.data.userId', {"user-id": "u1"}, True),
        ('async.data.mail.endsWith("@example.com")', {"mail": "a@example.com"}, True),
        ("async.data.size() == 2 && event.data.tags.size() == 2", {"a": 1, "b": 2}, True),
        ("event.ts == async.ts", {}, True),
        ("async.ts - event.ts <= 60000", {}, True),
        ("event.ts == 1774785600000", {}, True),
        ("true", {}, True),
        ("event.data.userId == '''u1'''", {}, True),
        ("async.data.unheard == null", {}, False),
        ("has(async.user) || has(async.id) || has(async.v)", {}, False),
    ],
)
def test_a_candidate_belongs_to_an_event(text: str, candidate: Any, answer: bool) -> None:
    assert holds(text, OWN, candidate) is answer


def test_every_field_of_an_event_can_be_asked_for() -> None:
    own = told({}, "a", id="1", v="2026", user={"id": "ana"}, ts=NOON + timedelta(microseconds=1999))
    text = 'event.name == "a" && event.id == "1" && event.v == "2026" && event.user.id == "ana" && event.ts == '
    text += f"{NOON_MS + 1}"

    assert expression(text, "if").holds(own, own)
    assert not expression(text, "if").holds(told({}), told({}))


def test_of_a_trigger_the_data_is_its_payload() -> None:
    trigger = Event("u", EventKind.TRIGGER, "welcome", {"to": [], "payload": {"userId": "u1"}}, NOON, NOON)

    for text in ("userId", 'event.data.userId == async.data.userId && async.name != "welcome"'):
        assert expression(text, "if").holds(trigger, told({"userId": "u1"}))
        assert not expression(text, "if").holds(trigger, told({"userId": "u2"}))


def test_what_an_event_does_not_carry_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert not holds("async.data.never.heard == 1", {}, {})
    assert not holds("event.user.id == async.data.id", {}, {"id": 1})

    assert caplog.messages == []


@pytest.mark.parametrize(
    ("text", "candidate", "problem"),
    [
        ("async.data.total / event.data.n0 > 1", {"total": 1}, "division by zero"),
        ("async.data.total < 1", {"total": "one"}, "No such overload"),
        ('async.data.total.matches("(")', {"total": "x"}, "not a valid regex"),
        ("timestamp(async.data.total) < timestamp(async.data.total)", {"total": "soon"}, "premature end"),
        ("async.data.total + 1", {"total": 1}, "it is int, neither true nor false"),
        ("size(async.data.total)", {"total": ""}, "it is int, neither true nor false"),
    ],
)
def test_what_goes_wrong_does_not_hold_and_is_told_once(
    text: str, candidate: Any, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    asked = expression(text, f"if of {text}")

    with caplog.at_level(logging.WARNING, "notify.expressions"):
        answers = [asked.holds(told({"n0": 0}), told(candidate)) for _ in range(3)]

    assert answers == [False] * 3
    assert len(caplog.messages) == 1
    assert text in caplog.messages[0]
    assert problem in caplog.messages[0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "must be a text"),
        (7, "must be a text"),
        ("  ", "must be a text"),
        ("x" * 2001, "longer than 2000"),
        ("event.data.userId ==", "event.data.userId == cannot be read, character 21: mismatched input '<EOF>'"),
        ("event.data.userId === async.data.userId", "cannot be read, character 21: token recognition error at: '= '"),
        ("event.data.a = async.data.a", "cannot be read, character 14"),
        ("event.data.a == async.data.a and true", "cannot be read, character 30"),
        ("event.data.userId == data.userId", "data is unknown; there are `event` and `async`"),
        ("async.data.list.exists(x, x == y)", "y is unknown"),
        ("event.userId == async.userId", "event.userId is no field of an event, which has name, data, user, ts, id, v"),
        ("event.taskId", "event.taskId is no field"),
        ("event.data.a == async.Data.a", "async.Data is no field"),
        ('async.data.mail.startswith("a")', "startswith(…) is no function of CEL"),
        ("now() > async.ts", "now(…) is no function of CEL"),
        ("__import__('os').system('true')", "no function of CEL"),
        ("now() > '''x'''", "now(…) is no function of CEL"),
    ],
)
def test_a_mistake_is_refused_with_the_field_and_an_example(text: Any, problem: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        expression(text, "cancel_on[0].if")

    assert refused.value.field == "cancel_on[0].if"
    assert problem in refused.value.problem
    assert refused.value.remedy


@pytest.mark.parametrize("text", ["event.data.userId ==", "", "event.data.a == b"])
def test_the_remedy_is_an_expression_that_is_taken(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        expression(text, "if")

    example = refused.value.remedy.partition("such as event")[2]
    assert expression(f"event{example}", "if").path == ("data.userId", "data.userId")


def test_the_same_text_is_read_once() -> None:
    assert expression("event.data.a == async.data.b", "if") is expression(" event.data.a == async.data.b", "if")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("data.task.id", 7),
        ("data.none", None),
        ("data.task.unheard", MISSING),
        ("data.userId.deeper", MISSING),
        ("data", OWN),
        ("name", "task/assigned"),
        ("ts", NOON_MS),
        ("id", MISSING),
        ("uid", MISSING),
    ],
)
def test_a_value_by_its_path(path: str, value: Any) -> None:
    event = told(OWN)
    mapping = {"name": "task/assigned", "ts": NOON_MS, "data": OWN}

    assert path_value(event, path) == value
    assert path_value(mapping, path) == value
    assert not MISSING
