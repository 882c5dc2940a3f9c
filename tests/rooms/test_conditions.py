"""Stored conditions: what each operator makes of each kind of value, what is refused, and what a log reads."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from typing import Any

import pytest

from notify.conditions import condition

PARIS = timezone(timedelta(hours=2))
#: Every kind of value, under the name it has in the tables below.
KINDS: dict[str, Any] = {
    "null": None,
    "true": True,
    '"true"': "true",
    "false": False,
    "0": 0,
    "1": 1,
    '"1"': "1",
    '"01"': "01",
    "1.5": 1.5,
    "12": 12,
    "12.0": 12.0,
    '"12"': "12",
    '""': "",
    '"text"': "text",
    '"9:00+2"': "2026-03-29T09:00:00+02:00",
    '"7:00Z"': "2026-03-29T07:00:00Z",
    "7:00Z": datetime(2026, 3, 29, 7, tzinfo=UTC),
    "9:00+2": datetime(2026, 3, 29, 9, tzinfo=PARIS),
    "naive": datetime(2026, 3, 29, 7),
    '"day after"': "2026-03-30",
    "[]": [],
    "[1]": [1],
    '["1"]': ["1"],
    "{}": {},
    '{"a":1}': {"a": 1},
}
SAME = [
    {"true", '"true"'},
    {"1", '"1"'},
    {"1", '"01"'},
    {"12", "12.0", '"12"'},
    {'"9:00+2"', '"7:00Z"', "7:00Z", "9:00+2", "naive"},
    {"[1]", '["1"]'},
]
NUMBERS = [["0"], ["1", '"1"', '"01"'], ["1.5"], ["12", "12.0", '"12"']]
INSTANTS = [['"9:00+2"', '"7:00Z"', "7:00Z", "9:00+2", "naive"], ['"day after"']]
TEXTS = ['""', '"01"', '"1"', '"12"', '"7:00Z"', '"9:00+2"', '"day after"', '"text"', '"true"']


def rank(scale: list[list[str]], kind: str) -> int | None:
    return next((place for place, kinds in enumerate(scale) if kind in kinds), None)


def ordered(left: str, right: str) -> int | None:
    """Which of the two comes first, as the tables say: by number, by instant, by their characters."""
    for scale in (NUMBERS, INSTANTS):
        one, other = rank(scale, left), rank(scale, right)
        if one is not None and other is not None:
            return one - other
    if left in TEXTS and right in TEXTS:
        one, other = KINDS[left], KINDS[right]
        return (one > other) - (one < other)
    return None


def asked(operator: str, left: Any, *right: Any) -> bool:
    """The answer where both sides are facts, which has to be the one where the right side stands in the rule."""
    facts = {"payload": {"left": left, "right": list(right)}}
    sides = [{"var": "payload.left"}, *({"var": f"payload.right.{place}"} for place in range(len(right)))]
    return condition({operator: sides}, "rule").holds(facts)


@pytest.mark.parametrize(("operator", "opposite"), [("=", "!="), ("==", "!=")])
def test_what_is_equal(operator: str, opposite: str) -> None:
    pairs = list(product(KINDS, KINDS))
    equal = {(one, other) for one, other in pairs if one == other or any({one, other} <= same for same in SAME)}

    assert {(one, other) for one, other in pairs if asked(operator, KINDS[one], KINDS[other])} == equal
    assert {(one, other) for one, other in pairs if asked(opposite, KINDS[one], KINDS[other])} == set(pairs) - equal


@pytest.mark.parametrize(
    ("operator", "fits"), [("<", {-1}), ("<=", {-1, 0}), (">", {1}), (">=", {0, 1})], ids=lambda one: str(one)
)
def test_what_comes_before_what(operator: str, fits: set[int]) -> None:
    pairs = [(one, other) for one, other in product(KINDS, KINDS)]
    found = {pair: ordered(*pair) for pair in pairs}
    expected = {pair for pair, way in found.items() if way is not None and (way > 0) - (way < 0) in fits}

    assert {(one, other) for one, other in pairs if asked(operator, KINDS[one], KINDS[other])} == expected


@pytest.mark.parametrize(
    ("operator", "opposite", "left", "right", "answer"),
    [
        ("contains", "doesNotContain", "invoice 7", "voice", True),
        ("contains", "doesNotContain", "invoice 7", 7, True),
        ("contains", "doesNotContain", "invoice", "Voice", False),
        ("contains", "doesNotContain", 1234, "23", True),
        ("contains", "doesNotContain", ["a", "1"], 1, True),
        ("contains", "doesNotContain", ["ab"], "a", False),
        ("contains", "doesNotContain", [None], None, True),
        ("contains", "doesNotContain", None, "a", None),
        ("contains", "doesNotContain", "a", None, None),
        ("contains", "doesNotContain", True, "r", None),
        ("contains", "doesNotContain", {"a": 1}, "a", None),
        ("beginsWith", "doesNotBeginWith", "invoice", "in", True),
        ("startsWith", "doesNotBeginWith", "invoice", "in", True),
        ("beginsWith", "doesNotBeginWith", "invoice", "voice", False),
        ("beginsWith", "doesNotBeginWith", 4912345, "49", True),
        ("beginsWith", "doesNotBeginWith", None, "in", None),
        ("beginsWith", "doesNotBeginWith", ["in"], "in", None),
        ("endsWith", "doesNotEndWith", "a@example.com", "@example.com", True),
        ("endsWith", "doesNotEndWith", "a@example.com", "@example.org", False),
        ("endsWith", "doesNotEndWith", None, "", None),
        ("in", "notIn", "pro", ["free", "pro"], True),
        ("in", "notIn", "12", [12], True),
        ("in", "notIn", "team", ["free", "pro"], False),
        ("in", "notIn", None, ["free"], False),
        ("in", "notIn", None, [None], True),
        ("in", "notIn", "pro", [], False),
        ("in", "notIn", "pro", "professional", True),
        ("in", "notIn", "pro", None, None),
        ("in", "notIn", None, "null", None),
        ("between", "notBetween", 5, [1, 5], True),
        ("between", "notBetween", "5", [5, 9], True),
        ("between", "notBetween", 10, [1, "9"], False),
        ("between", "notBetween", 5, [9, 1], False),
        ("between", "notBetween", "2026-03-29T08:00:00Z", ["2026-03-29", "2026-03-30"], True),
        ("between", "notBetween", None, [1, 9], None),
        ("between", "notBetween", 5, [None, 9], None),
        ("between", "notBetween", 5, [1, "z"], None),
        ("between", "notBetween", True, [0, 9], None),
    ],
)
def test_an_operator_and_its_negation(operator: str, opposite: str, left: Any, right: Any, answer: bool | None) -> None:
    """Where it cannot be asked at all (None), neither holds."""
    facts = {"payload": {"x": left}}
    found = [condition({name: [{"var": "payload.x"}, right]}, "rule").holds(facts) for name in (operator, opposite)]

    assert found == [answer is True, answer is False]
    if "etween" not in operator:
        assert [asked(name, left, right) for name in (operator, opposite)] == found
    else:
        assert [asked(name, left, *right) for name in (operator, opposite)] == found


@pytest.mark.parametrize("operator", ["=", "<", "<=", ">", ">="])
def test_what_is_no_number_is_not_even_like_itself(operator: str) -> None:
    assert not asked(operator, math.nan, math.nan)


FACTS = {
    "subscriber": {"id": "ana", "isOnline": False, "data": {"plan": "pro", "tags": ["a", "b"]}},
    "payload": {"total": 12, "limit": 100, "owner": "ana", "empty": "", "zero": 0, "note": None, "rows": [{"n": 3}]},
    "context": {"tenant": {"id": "acme"}},
    "workflow": {"id": "order-shipped"},
    "steps": {"inbox": {"seen": True, "read": False, "lastSeenDate": "2026-03-29T09:00:00Z", "lastReadDate": None}},
}


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({">=": [{"var": "payload.total"}, 100]}, "payload.total is 12, which is not >= 100"),
        ({">=": [{"var": "payload.total"}, 12]}, None),
        (
            {"<": ["{{payload.limit}}", "{{ payload.total }}"]},
            "payload.limit is 100, which is not < payload.total (12)",
        ),
        ({"=": [{"var": "payload.owner"}, "{{subscriber.id}}"]}, None),
        ({"!=": [{"var": "payload.owner"}, "ana"]}, 'payload.owner is "ana", which is = "ana"'),
        ({"=": [{"var": "payload.rows.0.n"}, 3]}, None),
        ({"=": [{"var": "payload.rows.1.n"}, 3]}, "payload.rows.1.n is null, which is not = 3"),
        ({"=": [{"var": "payload.total.deeper"}, 3]}, "payload.total.deeper is null, which is not = 3"),
        ({"=": [{"var": ["payload.note", "none"]}, "none"]}, None),
        ({"<=": [1, {"var": "payload.total"}, 20]}, None),
        ({"<": [1, {"var": "payload.total"}, 12]}, "payload.total is 12, which is not < 12"),
        ({"<": [12, {"var": "payload.total"}, 20]}, "12 is not < payload.total (12)"),
        (
            {"doesNotContain": [{"var": "payload.note"}, "x"]},
            'payload.note is null, which cannot be asked whether it contains "x"',
        ),
        (
            {"doesNotContain": [{"var": "subscriber.data.tags"}, "a"]},
            'subscriber.data.tags is ["a", "b"], which contains "a"',
        ),
        ({"between": [{"var": "payload.total"}, [20, 30]]}, "payload.total is 12, which is not between 20 and 30"),
        ({"between": [{"var": "payload.total"}, ["{{payload.zero}}", 30]]}, None),
        ({"in": ["x", {"var": "subscriber.data.tags"}]}, '"x" is not in subscriber.data.tags (["a", "b"])'),
        (
            {"in": [{"var": "payload.owner"}, ["bob", "{{payload.note}}"]]},
            'payload.owner is "ana", which is not in the list (["bob", null])',
        ),
        ({"null": {"var": "payload.total"}}, "payload.total is 12"),
        ({"null": [{"var": "payload.unheard.of"}]}, None),
        ({"notNull": [{"var": "payload.note"}]}, "payload.note is null"),
        ({"=": [{"var": "payload.note"}, None]}, None),
        ({"var": "steps.inbox.read"}, "steps.inbox.read is false"),
        ({"!": {"var": "steps.inbox.seen"}}, "steps.inbox.seen is true"),
        ({"!": [{"var": "subscriber.isOnline"}]}, None),
        ({"!!": {"var": "payload.empty"}}, 'payload.empty is ""'),
        ({"!!": [{"var": "subscriber.data.tags"}]}, None),
        ({"!": {"=": [{"var": "payload.total"}, 12]}}, "payload.total is 12, which is = 12"),
        ({"missing": ["payload.total", "payload.limit"]}, "payload.total, payload.limit are there"),
        ({"missing": ["payload.total", "payload.empty", "payload.note"]}, None),
        ({"!": {"missing": ["payload.empty", "payload.total"]}}, "payload.empty is missing"),
        ({"and": [{"var": "payload.total"}, {"var": "payload.zero"}, {"var": "payload.note"}]}, "payload.zero is 0"),
        (
            {
                "or": [
                    {"var": "payload.zero"},
                    {"and": [{"var": "payload.total"}, {">": [{"var": "payload.total"}, 50]}]},
                ]
            },
            "payload.zero is 0, and payload.total is 12, which is not > 50",
        ),
        (
            {"!": {"and": [{"var": "payload.total"}, {"var": "payload.owner"}]}},
            'payload.total is 12, and payload.owner is "ana"',
        ),
        ({"!": {"or": [{"var": "payload.zero"}, {"var": "payload.total"}]}}, "payload.total is 12"),
        ({"=": [{"or": [{"var": "payload.empty"}, {"var": "payload.owner"}]}, "ana"]}, None),
        ({"=": [{"and": [{"var": "payload.total"}, 5]}, 6]}, "`and` is 5, which is not = 6"),
        ({"if": [{"var": "payload.zero"}, False, {"var": "payload.total"}, True, False]}, None),
        ({"if": [{"var": "payload.total"}, {"var": "payload.note"}, True]}, "payload.note is null"),
        ({"if": [{"var": "payload.zero"}, True]}, "the rule itself says null"),
        ({"if": [{"var": "payload.zero"}, True, {"var": "payload.note"}, True]}, "the rule itself says null"),
        ({">": [{"var": "steps.inbox.lastSeenDate"}, "2026-03-29T10:30:00+02:00"]}, None),
        (
            {"and": [{"=": [{"var": "context.tenant.id"}, "acme"]}, {"in": [{"var": "workflow.id"}, ["a"]]}]},
            'workflow.id is "order-shipped", which is not in ["a"]',
        ),
    ],
)
def test_rules_hold_or_say_which_clause_did_not(rule: Any, reason: str | None) -> None:
    made = condition(rule, "rule")

    assert (made.why_not(FACTS), made.holds(FACTS)) == (reason, reason is None)
