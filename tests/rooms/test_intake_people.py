"""Untrusted people and requests for them: rows for the store, or an error that names the field and says what to do."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel

from notify import intake
from notify.errors import InvalidInput
from notify.model import Channel, Event, EventKind, Preference

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
PUSH = {"providerId": "fcm", "credentials": {"deviceTokens": ["t1"]}}


class Reminder(BaseModel):
    taskId: str
    count: int = 0
    dueDate: AwareDatetime | None = None


def parse(**fields: Any) -> tuple[dict[str, Any], list[Preference]]:
    return intake.parse_subscriber({"subscriberId": "ann"} | fields)


def refused(raw: Any) -> str:
    """The field at fault, once it is sure that the error says what to do."""
    with pytest.raises(InvalidInput) as caught:
        intake.parse_subscriber(raw)
    assert caught.value.remedy
    return caught.value.field


def test_a_person_may_be_nothing_but_an_id() -> None:
    assert parse() == ({"id": "ann"}, [])


def test_only_the_fields_that_were_given_are_kept() -> None:
    row, choices = parse(email="a@example.com", firstName="Ann", timezone="Europe/Rome", channels=[PUSH], data={"a": 1})

    assert row == {
        "id": "ann",
        "email": "a@example.com",
        "first_name": "Ann",
        "timezone": "Europe/Rome",
        "channels": [PUSH],
        "data": {"a": 1},
    }
    assert choices == []


def test_null_takes_a_field_away() -> None:
    row, _ = parse(email=None, lastName=None, data=None, channels=None)

    assert row == {"id": "ann", "email": None, "last_name": None, "data": {}, "channels": []}


def test_choices_come_with_the_person() -> None:
    everywhere = {"channel": "email", "enabled": False}
    here = {"channel": "push", "enabled": True, "workflow": "digest"}

    _, choices = parse(preferences=[everywhere, here])

    assert choices == [Preference("ann", None, Channel.EMAIL, False), Preference("ann", "digest", Channel.PUSH, True)]


@pytest.mark.parametrize("value", [None, 5, True, "", "  ", [], {}, "a\0b", "a" * 256])
def test_a_person_without_a_usable_id_is_nobody(value: Any) -> None:
    assert refused({"subscriberId": value}) == "subscriber.subscriberId"


@pytest.mark.parametrize("raw", [None, "ann", 5, True, ["ann"]])
def test_what_is_no_object_is_no_person(raw: Any) -> None:
    assert refused(raw) == "subscriber"


def test_an_unknown_field_is_named() -> None:
    assert refused({"subscriberId": "ann", "mail": "a@example.com"}) == "subscriber.mail"


TEXT = ["email", "phone", "firstName", "lastName", "avatar", "locale", "timezone"]


@pytest.mark.parametrize("field", TEXT)
@pytest.mark.parametrize("value", [5, True, 1.5, [], {}, ["a"], "a\0b", "\ud800"], ids=repr)
def test_a_text_is_a_text_that_a_database_can_keep(field: str, value: Any) -> None:
    assert refused({"subscriberId": "ann", field: value}) == f"subscriber.{field}"


@pytest.mark.parametrize(
    ("zone", "meant"),
    [
        ("Europe/Roma", "Did you mean Europe/Rome?"),
        ("rome", "Did you mean Europe/Rome?"),
        ("Pacific/Sydney", "Did you mean Australia/Sydney?"),
        ("america/new york", "Did you mean America/New_York?"),
        ("utc", "Did you mean UTC?"),
        ("../../etc/passwd", "Write one such as Europe/Rome, America/New_York or UTC"),
        ("Mars", "Write one such as Europe/Rome, America/New_York or UTC"),
    ],
)
def test_a_zone_is_one_that_there_is(zone: str, meant: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(timezone=zone)

    assert caught.value.field == "subscriber.timezone"
    assert (caught.value.problem, caught.value.remedy) == (f"no time zone is called {zone!r}", meant)


def test_no_zone_may_be_written_as_nothing() -> None:
    assert [parse(timezone=zone)[0]["timezone"] for zone in ("", None)] == ["", None]


@pytest.mark.parametrize("value", ["always", 5, True, [], {}, {"mon": "9"}, {"isEnabled": "yes"}], ids=repr)
def test_hours_are_hours(value: Any) -> None:
    assert refused({"subscriberId": "ann", "schedule": value}).startswith("subscriber.schedule")


@pytest.mark.parametrize("value", ["text", 5, True, [], [{}], {"a": "\0"}, {"a": b"x"}, {"a": 2**64}], ids=repr)
def test_data_is_an_object_of_json(value: Any) -> None:
    assert refused({"subscriberId": "ann", "data": value}).startswith("subscriber.data")


@pytest.mark.parametrize("value", ["text", 5, True, {}, [5], ["token"], [None], [{"a": "\0"}]], ids=repr)
def test_channels_are_a_list_of_objects(value: Any) -> None:
    assert refused({"subscriberId": "ann", "channels": value}).startswith("subscriber.channels")


GOOD = {"channel": "email", "enabled": True}


@pytest.mark.parametrize(
    "value",
    [
        "text",
        5,
        True,
        GOOD,
        ["email"],
        [{}],
        [GOOD | {"enabled": "yes"}],
        [GOOD | {"enabled": 1}],
        [GOOD | {"channel": "pigeon"}],
        [GOOD | {"channel": None}],
        [GOOD | {"channel": ["email"]}],
        [GOOD | {"workflow": 5}],
        [GOOD | {"workflow": ["digest"]}],
        [GOOD | {"workflow": "a\0b"}],
    ],
    ids=repr,
)
def test_a_choice_names_a_channel_and_is_true_or_false(value: Any) -> None:
    assert refused({"subscriberId": "ann", "preferences": value}).startswith("subscriber.preferences")


# --- recipients ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "rows"),
    [
        (None, []),
        ([], []),
        ("ann", [{"id": "ann"}]),
        (["ann", "bob"], [{"id": "ann"}, {"id": "bob"}]),
        (("ann",), [{"id": "ann"}]),
        ({"ann"}, [{"id": "ann"}]),
        (frozenset({"ann"}), [{"id": "ann"}]),
        ({"subscriberId": "ann", "email": "a@x"}, [{"id": "ann", "email": "a@x"}]),
        (["ann", {"subscriberId": "bob", "firstName": "Bob"}], [{"id": "ann"}, {"id": "bob", "first_name": "Bob"}]),
    ],
)
def test_recipients_are_ids_or_people_or_both(to: Any, rows: list[dict[str, Any]]) -> None:
    assert intake.parse_recipients(to, "to") == rows


@pytest.mark.parametrize(
    ("to", "field"),
    [
        (5, "to[0]"),
        (True, "to[0]"),
        ("", "to[0]"),
        ({}, "to[0]"),
        ({"email": "a@x"}, "to[0]"),
        (["ann", 5], "to[1]"),
        (["ann", None], "to[1]"),
        (["ann", ["bob"]], "to[1]"),
        (["ann", "b\0"], "to[1]"),
        (["ann", {"subscriberId": ""}], "to[1].subscriberId"),
        (["ann", {"subscriberId": "bob", "email": 5}], "to[1].email"),
    ],
)
def test_a_recipient_who_names_nobody_is_named_by_place(to: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        intake.parse_recipients(to, "to")

    assert caught.value.field == field
    assert caught.value.remedy


# --- triggers ---------------------------------------------------------------------------------------


def trigger(**asked: Any) -> Event:
    arguments: dict[str, Any] = {"to": "ann", "payload": {"taskId": "t"}, "model": Reminder} | asked
    return intake.make_trigger("default", "remind", NOW, **arguments)


def test_a_trigger_carries_the_payload_with_its_defaults() -> None:
    event = trigger(transaction_id="tx")

    assert (event.kind, event.name, event.id, event.transaction_id) == (EventKind.TRIGGER, "remind", "tx", "tx")
    assert event.data["payload"] == {"taskId": "t", "count": 0, "dueDate": None}
    assert trigger(transaction_id="tx").uid == event.uid


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"payload": {}}, "payload.taskId"),
        ({"payload": {"taskId": 5}}, "payload.taskId"),
        ({"payload": {"taskId": "t", "dueDate": "2026-03-29T09:00:00"}}, "payload.dueDate"),
        ({"to": ["ann", 5]}, "to[1]"),
        ({"channels": ["pigeon"]}, "channels"),
        ({"channels": 5}, "channels"),
        ({"channels": [5]}, "channels"),
        ({"priority": "soon"}, "priority"),
        ({"priority": 5}, "priority"),
        ({"transaction_id": 5}, "transaction_id"),
        ({"transaction_id": "a\0"}, "transaction_id"),
        ({"actor": 5}, "actor"),
        ({"tenant": ["a"]}, "tenant"),
        ({"at": datetime(2026, 1, 15)}, "at"),
        ({"at": "tomorrow"}, "at"),
    ],
)
def test_a_trigger_that_cannot_be_is_refused_by_name(asked: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        trigger(**asked)

    assert caught.value.field == field
    assert caught.value.remedy


# --- whatever comes ---------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(["subscriberId", "preferences", "data", "channels", "schedule", *TEXT])


@given(JSON | st.dictionaries(FIELDS, JSON) | st.fixed_dictionaries({"subscriberId": st.text(min_size=1)}))
def test_no_json_raises_anything_but_invalid_input(raw: Any) -> None:
    for parse_one in (lambda: intake.parse_subscriber(raw), lambda: intake.parse_recipients(raw, "to")):
        with suppress(InvalidInput):
            parse_one()
