"""Conditions that are refused when they come in, and those that are asked of whatever facts there are."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify.conditions import condition
from notify.errors import InvalidInput


@pytest.mark.parametrize(
    ("rule", "field", "problem", "remedy"),
    [
        (None, "rule", "must be a JSON object", '{">=": [{"var": "payload.total"}, 100]}'),
        ([], "rule", "must be a JSON object", "one operator"),
        (True, "rule", "must be a JSON object", "one operator"),
        ({}, "rule", "has 0 keys", "one operator"),
        ({"=": [1, 1], "!=": [1, 2]}, "rule", "has 2 keys", "one operator"),
        ({"===": [1, 1]}, "rule", "'===' is no operator", "notBetween and or ! !! if var missing"),
        ({1: [1, 1]}, "rule", "1 is no operator", "Use one of = =="),
        ({"and": [{"=": [1, 1]}, {"or": [{"equals": [1, 2]}]}]}, "rule.and[1].or[0]", "'equals' is no operator", "Use"),
        ({"=": [{"var": "payload.x"}]}, "rule.=", "`=` takes 2 arguments, not 1", "one operator"),
        ({">=": [1, 2, 3]}, "rule.>=", "`>=` takes 2 arguments, not 3", "one operator"),
        ({"<": [1, 2, 3, 4]}, "rule.<", "`<` takes 2 arguments, not 4", "one operator"),
        ({"null": []}, "rule.null", "`null` takes 1 argument, not 0", "one operator"),
        ({"between": [{"var": "payload.x"}, [1]]}, "rule.between", "`between` takes 3 arguments, not 2", "one"),
        ({"notBetween": [{"var": "payload.x"}, 1]}, "rule.notBetween", "takes 3 arguments, not 2", "one"),
        ({"!": [1, 2]}, "rule.!", "`!` takes 1 argument, not 2", "one operator"),
        ({"!!": []}, "rule.!!", "`!!` takes 1 argument, not 0", "one operator"),
        ({"if": [True]}, "rule.if", "takes at least 2 arguments, not 1", '{"if": [case, then, else]}'),
        ({"missing": []}, "rule.missing", "takes at least 1 argument, not 0", '{"missing": ["payload.total"]}'),
        ({"and": []}, "rule.and", "is an empty group", "leave it out"),
        ({"!": {"or": []}}, "rule.![0].or", "is an empty group", "leave it out"),
        ({"var": []}, "rule.var", "`var` takes 1 or 2 arguments, not 0", "one operator"),
        ({"var": ["payload.x", {"var": "payload.y"}]}, "rule.var", "must be a plain value", "Write a text"),
        ({"var": ""}, "rule.var", "'' is no variable", "subscriber.…, payload.…"),
        ({"var": 0}, "rule.var", "0 is no variable", "payload"),
        ({"var": "person.email"}, "rule.var", "'person.email' is no variable", "subscriber.…"),
        ({"var": "payload"}, "rule.var", "is not the whole path", "payload.total"),
        ({"var": "payload..x"}, "rule.var", "is not the whole path", "payload.total"),
        ({"var": "steps.inbox"}, "rule.var", "is not the whole path", "steps.<id>."),
        ({"missing": ["payload.x", "total"]}, "rule.missing[1]", "'total' is no variable", "payload"),
        ({"=": [1, "{{data.x}}"]}, "rule.=[1]", "'data.x' is no variable", "payload"),
        ({"=": [1, "Hello {{payload.x}}"]}, "rule.=[1]", "mixes text and a variable", '"{{payload.x}}"'),
        ({"in": [1, [1, {"var": "x"}]]}, "rule.in[1][1].var", "'x' is no variable", "payload"),
        ({"=": [1, datetime(2026, 1, 1)]}, "rule.=[1]", "datetime is no JSON", "Write a text"),
    ],
)
def test_a_mistake_is_refused_with_its_place_and_a_remedy(rule: Any, field: str, problem: str, remedy: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        condition(rule, "rule")

    assert refused.value.field == field
    assert problem in refused.value.problem
    assert remedy in refused.value.remedy


def test_a_rule_nested_without_end_is_refused() -> None:
    rule: Any = {"var": "payload.x"}
    for _ in range(5000):
        rule = {"!": rule}

    with pytest.raises(InvalidInput, match="nested more than 32 deep"):
        condition(rule, "rule")


def test_a_condition_names_the_facts_it_reads() -> None:
    rule = {"or": [{"=": [{"var": "payload.a"}, "{{subscriber.data.b}}"]}, {"missing": ["steps.inbox.seen"]}]}

    assert condition(rule, "rule").variables == {"payload.a", "subscriber.data.b", "steps.inbox.seen"}


def test_facts_nested_without_end_are_no_exception() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    made = condition({"=": [{"var": "payload.x"}, {"var": "payload.y"}]}, "rule")

    assert made.why_not({"payload": {"x": deep, "y": deep}}) is not None


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(
        ["", "0", "12", "-1e9", "true", "2026-03-29", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
    )
    | st.datetimes()
    | st.text(max_size=5)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
FACTS = st.dictionaries(st.sampled_from(["payload", "subscriber", "steps", "context"]), VALUES, max_size=4)
PATHS = st.sampled_from(["payload.a", "payload.a.b", "payload.b.0", "subscriber.c", "steps.a.b", "context.a"])
VARIABLES = PATHS.map(lambda path: {"var": path}) | PATHS.map(lambda path: f"{{{{{path}}}}}")
LITERALS = SCALARS.filter(lambda value: not isinstance(value, datetime)) | st.lists(
    st.integers() | st.text(max_size=3), max_size=3
)
TWO = ["=", "==", "!=", "<", ">", "<=", ">=", "contains", "doesNotContain", "beginsWith", "doesNotBeginWith"]
TWO += ["endsWith", "doesNotEndWith", "in", "notIn"]


def rules(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    operands = inner | LITERALS
    return st.one_of(
        st.builds(lambda name, one, other: {name: [one, other]}, st.sampled_from(TWO), operands, operands),
        st.builds(
            lambda name, *three: {name: [*three]},
            st.sampled_from(["between", "notBetween", "<", "<="]),
            operands,
            operands,
            operands,
        ),
        st.builds(lambda name, one: {name: [one]}, st.sampled_from(["!", "!!", "null", "notNull"]), operands),
        st.builds(
            lambda name, parts: {name: parts},
            st.sampled_from(["and", "or"]),
            st.lists(operands, min_size=1, max_size=3),
        ),
        st.builds(lambda parts: {"if": parts}, st.lists(operands, min_size=2, max_size=5)),
        st.builds(lambda paths: {"missing": paths}, st.lists(PATHS, min_size=1, max_size=3)),
    )


RULES = rules(st.recursive(VARIABLES, rules, max_leaves=6))


@given(RULES, FACTS)
def test_any_condition_can_be_asked_of_any_facts_and_says_why_exactly_where_it_does_not_hold(
    rule: Any, facts: Any
) -> None:
    made = condition(rule, "rule")

    holds = made.holds(facts)

    assert (made.why_not(facts) is None) is holds
    assert made.why_not(facts) != ""
    assert condition({"!": rule}, "rule").holds(facts) is not holds
    assert condition({"and": [rule, rule]}, "rule").holds(facts) is holds
    assert condition({"or": [rule, rule]}, "rule").holds(facts) is holds


@given(VALUES, VALUES)
def test_equality_looks_the_same_from_both_sides(one: Any, other: Any) -> None:
    facts = {"payload": {"one": one, "other": other}}
    sides = [{"var": "payload.one"}, {"var": "payload.other"}]

    assert condition({"=": sides}, "rule").holds(facts) is condition({"=": sides[::-1]}, "rule").holds(facts)
    assert condition({"<": sides}, "rule").holds(facts) is condition({">": sides[::-1]}, "rule").holds(facts)
    assert condition({"=": [sides[0], sides[0]]}, "rule").holds(facts)
