"""Rows of an outbox in another database: anybody with the right to it may have written them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from notify.errors import InvalidInput
from notify.intake import parse_row
from notify.model import EventKind

NOW = datetime(2026, 1, 15, 14, tzinfo=UTC)
ROW: dict[str, Any] = {
    "uid": "019a0000-0000-7000-8000-000000000001",
    "kind": "event",
    "name": "order/paid",
    "id": None,
    "ts": "2026-01-15T12:00:00.500000Z",
    "received_at": "2026-01-15T13:00:00+01:00",
    "data": '{"a": [1, "é"]}',
    "v": None,
    "user": None,
    "subject": None,
}


def test_a_row_becomes_the_event_it_was() -> None:
    event = parse_row(ROW | {"id": "e1", "v": "2", "user": '{"id": "ann"}', "subject": "s"}, NOW)

    assert (event.uid, event.kind, event.name, event.id) == (ROW["uid"], EventKind.EVENT, "order/paid", "e1")
    assert (event.data, event.user, event.v, event.subject) == ({"a": [1, "é"]}, {"id": "ann"}, "2", "s")
    assert event.ts == datetime(2026, 1, 15, 12, 0, 0, 500_000, UTC)
    assert event.received_at == datetime(2026, 1, 15, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("uid", None),
        ("uid", "u1"),
        ("kind", "order"),
        ("name", ""),
        ("id", "\0"),
        ("ts", None),
        ("ts", "yesterday"),
        ("ts", "2026-01-15T12:00:00"),
        ("ts", "9999-12-31T23:59:59-05:00"),
        ("ts", "0001-01-01T00:00:00Z"),
        ("received_at", "9999-99-99"),
        ("received_at", "9999-12-31T23:59:59Z"),
        ("data", None),
        ("data", "{"),
        ("data", "[]"),
        ("data", '{"a": "\\u0000"}'),
        ("user", "5"),
        ("subject", "\udcff"),
    ],
)
def test_what_could_not_be_stored_is_named(column: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_row(ROW | {column: value}, NOW)

    assert caught.value.field.split(".")[0] == column


@pytest.mark.parametrize(
    "data",
    [
        "{}",
        '{"to": "ann"}',
        '{"to": ["ann"]}',
        '{"to": [{"id": ""}]}',
        '{"to": [{"id": "ann"}], "payload": 5}',
        '{"to": [{"id": "ann"}], "channels": ["pigeon"]}',
        '{"to": [{"id": "ann"}], "priority": "at once"}',
    ],
)
def test_a_trigger_that_could_not_be_matched_is_refused(data: str) -> None:
    with pytest.raises(InvalidInput):
        parse_row(ROW | {"kind": "trigger", "data": data}, NOW)
