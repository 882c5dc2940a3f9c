"""The pair of values an expression asks to be equal: read off its text only where it is certain, never misleading."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import Any

import cel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify.errors import InvalidInput
from notify.expressions import expression
from notify.model import Event, EventKind

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
SAME = ("data.userId", "data.userId")


def told(data: Any) -> Event:
    return Event("uid", EventKind.EVENT, "x", data, NOON, NOON)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("data.userId", SAME),
        ("userId", SAME),
        ("event.data.userId", SAME),
        ("task.user-id", ("data.task.user-id", "data.task.user-id")),
        ("event.name", ("name", "name")),
        ("event.data.userId == async.data.userId", SAME),
        ("async.data.by.id==event.data.userId", ("data.userId", "data.by.id")),
        ("  ( ( event.data.userId == async.data.userId ) ) ", SAME),
        ("event . data . userId == async.data.userId // who", SAME),
        ('async.data.plan == "pro" && event.data.userId == async.data.userId', SAME),
        ("event.ts < async.ts && (async.data.a == 1 && (event.data.userId == async.data.userId))", SAME),
        ("event.data.userId == async.data.userId && event.data.b == async.data.c", SAME),
        ("(async.data.a || async.data.b) && event.data.userId == async.data.userId", SAME),
        ("(async.data.a ? true : false) && event.data.userId == async.data.userId", SAME),
        ("async.data.list.all(x, x == 1 || x == 2) && event.data.userId == async.data.userId", SAME),
        ('async.data.a == " || " && event.data.userId == async.data.userId', SAME),
        ('async.data.a == "\\" || " && event.data.userId == async.data.userId', SAME),
        (r"""async.data.a == r'\' && event.data.userId == async.data.userId""", SAME),
        ("event.data.userId == async.data.userId || async.data.all", None),
        ("async.data.all || event.data.userId == async.data.userId", None),
        ("async.data.all && async.data.b || event.data.userId == async.data.userId && true", None),
        ("(event.data.userId == async.data.userId || async.data.all) && async.data.b", None),
        ("!(event.data.userId == async.data.userId)", None),
        ("!(event.data.userId == async.data.userId) && true", None),
        ("async.data.a ? event.data.userId == async.data.userId : true", None),
        ("async.data.a && event.data.userId == async.data.userId ? false : true", None),
        ("event.data.userId == async.data.userId && async.data.a ? false : true", None),
        ("async.data.a ? true : async.data.b && event.data.userId == async.data.userId", None),
        ("(event.data.userId == async.data.userId) == false", None),
        ("event.data.userId == async.data.userId == false", None),
        ("event.data.userId != async.data.userId", None),
        ("event.data.userId == event.data.by", None),
        ("async.data.userId == async.data.by", None),
        ('event.data.userId == "u1" && async.data.userId == "u1"', None),
        ("event.data.n + 1 == async.data.n", None),
        ("event.data.n == async.data.n + 1", None),
        ("-event.data.n == async.data.n", None),
        ('event.data["userId"] == async.data.userId', None),
        ("event.data.list[0] == async.data.list[0]", None),
        ("size(event.data.list) == async.data.n", None),
        ("event.data.list.size() == async.data.n", None),
        ("event == async", None),
        ("[event.data.userId == async.data.userId].exists(x, !x)", None),
        ("async.data.list.all(x, true && event.data.userId == async.data.userId)", None),
        ('async.data.a == "&& event.data.userId == async.data.userId"', None),
        ("async.data.a == 1 // && event.data.userId == async.data.userId", None),
        ("async.data.a == r'\\' || 'x' == '' && event.data.userId == async.data.userId", None),
        ("async.data.a == '''a' && ''' && event.data.userId == async.data.userId", None),
        ('async.data.a == """" || """ && event.data.userId == async.data.userId', None),
        ('async.data.a == """x""" && event.data.userId == async.data.userId', None),
        ("b'x' == b'x' && event.data.userId == async.data.userId", None),
        ("true", None),
    ],
)
def test_the_paths_that_have_to_be_equal(text: str, path: tuple[str, str] | None) -> None:
    made = expression(text, "if")

    assert made.path == path
    if path is None:
        assert (made.own_key(told({})), made.candidate_key(told({}))) == ("", "")


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("u1", '"u1"'),
        ("1", '"1"'),
        (1, "1"),
        (1.0, "1"),
        (-0.0, "0"),
        (1.5, "1.5"),
        (9007199254740993, "9007199254740993"),
        (2**64, "18446744073709551616"),
        (True, "true"),
        (None, "null"),
        ("", '""'),
        (0, "0"),
        ("é", '"é"'),
        ({"b": 1.0, "a": [2.0, "x"]}, '{"a":[2,"x"],"b":1}'),
    ],
)
def test_a_key_is_the_value_as_json(value: Any, key: str) -> None:
    made = expression('async.data.of == event.data.id && async.data.plan == "pro"', "if")

    assert made.own_key(told({"id": value})) == key
    assert made.candidate_key(told({"of": value})) == key
    assert (made.own_key(told({"of": value})), made.candidate_key(told({"id": value}))) == (None, None)


ATOMS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
ATOMS |= st.sampled_from([0, 1, 1.0, -0.0, "", "1", "true", "u1"])
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)
DATA = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)
PATHS = st.sampled_from(["data.a", "data.b", "data.a.b", "data.c", "data", "name", "user"])
CLAUSES = st.one_of(
    st.builds("event.{} == async.{}".format, PATHS, PATHS),
    st.builds("async.{} == event.{}".format, PATHS, PATHS),
    st.sampled_from(["has(async.data.b)", "async.data.a < event.data.b", 'async.data.a == "u1"']),
    st.sampled_from(["async.data.list.all(x, x > 1)", "event.data == async.data", "event.data.a.b.c", "1"]),
    st.sampled_from(["true", "false", '"&&" == "||"', "size(async.data.a) == 0"]),
)
TEXTS = st.recursive(
    CLAUSES,
    lambda inner: st.one_of(
        st.builds("{} && {}".format, inner, inner),
        st.builds("{} || {}".format, inner, inner),
        st.builds("({})".format, inner),
        st.builds("!({})".format, inner),
        st.builds("({}) ? ({}) : ({})".format, inner, inner, inner),
        st.builds("[({})].all(x, x)".format, inner),
    ),
    max_leaves=5,
)


def plainly(text: str, own: Any, candidate: Any) -> bool:
    """What CEL alone makes of the whole of both events."""
    sides = {name: {"name": "x", "ts": 1, "data": data} for name, data in (("event", own), ("async", candidate))}
    try:
        return cel.compile(text).execute(sides) is True
    except Exception:
        return False


@given(TEXTS, DATA, DATA)
def test_the_answer_is_that_of_cel_and_keys_are_equal_wherever_it_holds(text: str, own: Any, candidate: Any) -> None:
    made = expression(text, "if")

    answer = made.holds(told(own), told(candidate))

    assert answer is plainly(text, own, candidate)
    if answer:
        assert made.own_key(told(own)) == made.candidate_key(told(candidate)) is not None


@given(st.sampled_from(["a", "data.a.b", "event.user"]), DATA, DATA)
def test_a_bare_path_is_short_for_an_equality(path: str, own: Any, candidate: Any) -> None:
    full = {"a": "data.a", "data.a.b": "data.a.b", "event.user": "user"}[path]

    assert expression(path, "if").holds(told(own), told(candidate)) is plainly(
        f"event.{full} == async.{full}", own, candidate
    )


@given(st.text(max_size=12) | st.text("event.async&|=!()'\"\\ r1x/", max_size=25), DATA)
def test_any_text_is_an_expression_or_a_mistake_and_nothing_else(text: str, data: Any) -> None:
    with contextlib.suppress(InvalidInput):
        assert expression(text, "if").holds(told(data), told(data)) in (True, False)
