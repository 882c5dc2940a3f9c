"""Untrusted input: an Event, or an error that names the field and says what to do."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel

from notify import intake
from notify.catalogue import EventType
from notify.errors import InvalidEvent, InvalidInput, PayloadTooLarge
from notify.model import Event, EventKind

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
LIMIT = 524_288


class Due(BaseModel):
    taskId: str
    count: int = 0
    share: float = 0
    urgent: bool = False
    dueDate: AwareDatetime | None = None


CATALOGUE = {"task/due": EventType("task/due", Due, "taskId")}


def parse(**envelope: Any) -> Event:
    return intake.parse_event({"name": "anything", "data": {}} | envelope, CATALOGUE, NOW)


def refused(**envelope: Any) -> InvalidEvent:
    with pytest.raises(InvalidInput) as caught:
        parse(**envelope)
    return said(caught.value)


def said(error: Any) -> Any:
    """The error, once it is sure that it tells a person what is wrong, where, and what to do."""
    assert str(error.facts["field"]) in str(error)
    if not isinstance(error, PayloadTooLarge):
        assert error.problem
        assert error.remedy
    assert "unknown)" not in str(error)
    return error


# --- the envelope ---------------------------------------------------------------------------------


def test_the_smallest_event_happens_now_and_gets_an_id_of_ours() -> None:
    one, other = parse(), parse()

    assert (one.kind, one.name, one.data, one.ts, one.received_at) == (EventKind.EVENT, "anything", {}, NOW, NOW)
    assert (one.id, one.v, one.user, one.subject) == (None, None, None, None)
    assert one.uid != other.uid


def test_every_field_arrives_as_it_was_given() -> None:
    event = parse(name="task/due", data={"taskId": "t1", "more": [1]}, id="e1", ts=1_500, v="2", user={"id": "ann"})

    assert event.data == {"taskId": "t1", "more": [1]}
    assert (event.id, event.v, event.user, event.subject) == ("e1", "2", {"id": "ann"}, "t1")
    assert event.ts == datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)


TEXTS: list[Any] = [5, 0, True, False, 1.5, "", "  ", [], ["a"], {}, {"a": 1}, "a" * 256, "a\0b"]
OBJECTS: list[Any] = ["text", "", 5, 0, True, False, [], ["a"], [{}]]
WRONG = {
    "name": [None, *TEXTS],
    "id": TEXTS,
    "v": TEXTS,
    "data": [None, *OBJECTS],
    "user": OBJECTS,
    "ts": ["2026-01-15", "", 1.5, True, False, -1, 253_402_300_800_000, [], {}, datetime(2026, 1, 15)],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in WRONG.items() for value in values])
def test_a_field_of_the_wrong_type_is_named(field: str, value: Any) -> None:
    assert refused(**{field: value}).field == field


@pytest.mark.parametrize("raw", [None, [], "text", 5, True, [{"name": "a", "data": {}}]])
def test_what_is_no_object_is_no_event(raw: Any) -> None:
    with pytest.raises(InvalidEvent) as caught:
        intake.parse_event(raw, {}, NOW)

    assert said(caught.value).field == "event"


@pytest.mark.parametrize("field", ["name", "data"])
def test_what_an_event_needs_is_asked_for(field: str) -> None:
    raw = {"name": "anything", "data": {}}
    del raw[field]

    with pytest.raises(InvalidEvent) as caught:
        intake.parse_event(raw, {}, NOW)

    assert said(caught.value).field == field


def test_an_unknown_field_is_named_and_belongs_into_data() -> None:
    error = refused(payload={})

    assert error.field == "payload"
    assert "`data`" in error.remedy


def test_keys_that_are_no_texts_are_refused() -> None:
    with pytest.raises(InvalidInput):
        intake.parse_event({"name": "a", "data": {}, 5: 1, "other": 2}, {}, NOW)


@pytest.mark.parametrize("field", ["name", "id", "v"])
def test_half_a_surrogate_pair_is_no_text(field: str) -> None:
    assert refused(**{field: json.loads('"\\ud800"')}).field == field


# --- time -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "instant"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (1_577_836_800_001, datetime(2020, 1, 1, 0, 0, 0, 1000, tzinfo=UTC)),
        (4_102_444_800_000, datetime(2100, 1, 1, tzinfo=UTC)),
        (datetime(2026, 1, 15, 9, tzinfo=timezone(timedelta(hours=5, minutes=45))), NOW.replace(hour=3, minute=15)),
    ],
)
def test_an_instant_may_lie_behind_or_ahead(given_: Any, instant: datetime) -> None:
    event = parse(ts=given_)

    assert (event.ts, event.ts.tzinfo, event.received_at) == (instant, UTC, NOW)


def test_a_naive_instant_is_told_to_take_a_zone() -> None:
    assert "zone" in refused(ts=datetime(2026, 1, 15)).remedy


@pytest.mark.parametrize(
    "instant",
    [
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-12))),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=12))),
        datetime(2127, 1, 1, tzinfo=UTC),
        datetime(1925, 1, 1, tzinfo=UTC),
        253_402_300_799_999,
    ],
)
def test_an_instant_out_of_all_reach_is_refused(instant: Any) -> None:
    assert refused(ts=instant).field == "ts"


# --- data -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({}, "data.taskId"),
        ({"taskId": 5}, "data.taskId"),
        ({"taskId": None}, "data.taskId"),
        ({"taskId": "t", "count": "5"}, "data.count"),
        ({"taskId": "t", "count": True}, "data.count"),
        ({"taskId": "t", "count": 1.5}, "data.count"),
        ({"taskId": "t", "share": "0.5"}, "data.share"),
        ({"taskId": "t", "urgent": 1}, "data.urgent"),
        ({"taskId": "t", "urgent": "yes"}, "data.urgent"),
        ({"taskId": "t", "dueDate": 1_768_478_400}, "data.dueDate"),
        ({"taskId": "t", "dueDate": "tomorrow"}, "data.dueDate"),
    ],
)
def test_an_event_of_the_catalogue_is_validated_and_nothing_is_coerced(data: Any, field: str) -> None:
    assert refused(name="task/due", data=data).field == field


@pytest.mark.parametrize("due", ["2026-03-29T09:00:00", datetime(2026, 3, 29, 9)])
def test_a_naive_date_within_data_is_told_to_take_a_zone(due: Any) -> None:
    error = refused(name="task/due", data={"taskId": "t", "dueDate": due})

    assert error.field == "data.dueDate"
    assert "zone" in error.remedy


def test_an_event_the_catalogue_does_not_know_carries_what_it_likes() -> None:
    assert parse(name="else", data={"dueDate": "2026-03-29T09:00:00"}).data == {"dueDate": "2026-03-29T09:00:00"}


@pytest.mark.parametrize(
    "data", [{"a": "x\0"}, {"a": ["\0"]}, {"\0": 1}, {"a": {"b": {"c": "\0"}}}], ids=["value", "list", "key", "deep"]
)
@pytest.mark.parametrize("field", ["data", "user"])
def test_no_nul_character_hides_in_an_object(field: str, data: Any) -> None:
    assert refused(**{field: data}).field.startswith(field)


def test_a_text_that_only_spells_the_escape_is_kept() -> None:
    assert parse(data={"a": r"a regex: \u0000"}).data == {"a": r"a regex: \u0000"}


@pytest.mark.parametrize("field", ["data", "user"])
@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, b"bytes", 2**64, "\ud800", float("nan"), float("inf"), 1j],
    ids=lambda one: repr(one)[:9],
)
def test_what_json_cannot_carry_is_refused(field: str, value: Any) -> None:
    assert refused(**{field: {"a": value}}).field.startswith(field)


def test_data_with_python_values_is_kept_as_json_would_carry_it() -> None:
    event = parse(data={"task": Due(taskId="t"), "at": NOW})

    assert event.data == {"task": json.loads(Due(taskId="t").model_dump_json()), "at": "2026-01-15T12:00:00+00:00"}


def test_a_model_may_be_the_data_of_an_event() -> None:
    event = intake.make_event("task/due", Due(taskId="t", dueDate=NOW), CATALOGUE, NOW, ts=NOW, id="e1")

    assert (event.subject, event.id, event.data["dueDate"]) == ("t", "e1", "2026-01-15T12:00:00Z")


# --- size -------------------------------------------------------------------------------------------


def sized(size: int, letter: str = "a") -> dict[str, str]:
    """An object of exactly `size` bytes of JSON."""
    letters, rest = divmod(size - len('{"x":""}'), len(letter.encode()))
    return {"x": letter * letters + "a" * rest}


@pytest.mark.parametrize("letter", ["a", "é", "🎉"])
def test_half_a_megabyte_is_allowed_and_one_byte_more_is_not(letter: str) -> None:
    assert len(orjson.dumps(sized(LIMIT, letter))) == LIMIT
    parse(data=sized(LIMIT, letter))

    with pytest.raises(PayloadTooLarge) as caught:
        parse(data=sized(LIMIT + 1, letter))

    assert "524,288" in str(caught.value)
    assert "524,289" in str(caught.value)
    assert said(caught.value).field == "data"


def test_the_user_of_an_event_is_limited_too() -> None:
    assert refused(user=sized(LIMIT + 1)).field == "user"


def test_a_trigger_has_the_same_limit() -> None:
    with pytest.raises(PayloadTooLarge):
        intake.make_trigger("default", "w", NOW, to="ann", payload=sized(LIMIT + 1), model=dict[str, Any])


# --- whatever comes ---------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(["name", "data", "id", "ts", "v", "user", "else"])
ENVELOPES = st.dictionaries(FIELDS, JSON) | st.fixed_dictionaries(
    {
        "name": st.sampled_from(["task/due", "else"]),
        "data": st.dictionaries(st.sampled_from(list(Due.model_fields)), JSON),
    }
)


@given(JSON | ENVELOPES)
def test_no_json_raises_anything_but_invalid_input(raw: Any) -> None:
    try:
        event = intake.parse_event(raw, CATALOGUE, NOW)
    except InvalidInput as error:
        said(error)
    else:
        assert event.ts.tzinfo is UTC
