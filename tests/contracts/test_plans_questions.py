"""On both databases, which know nothing of their tables yet, a question reads what it answers and not whole tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from notify.model import Priority, new_id
from notify.store import backlog, closing, probe, recalls, spending, windows
from notify.store import messages as due_messages
from notify.store import notifications as claims
from notify.store.bulk import insert_new
from notify.store.database import Database
from notify.store.joining import Joining, join
from notify.store.tables import messages, notifications
from notify.store.tables import windows as windows_table
from tests.world import START, migrated

ROWS = 4000
#: Rows on PostgreSQL, and hundreds of its machine's steps on SQLite: to read all of a table takes five times as many.
MOST = 200
LATER = START + timedelta(days=1)
_TOLD: dict[str, Any] = {"state": "closed", "closed_at": LATER}
_OWN: dict[str, Any] = {"environment": "default", "workflow": "news", "transaction_id": "t"}


def _people(column: str, **fields: Any) -> list[dict[str, Any]]:
    return [_OWN | {column: new_id(), "subscriber": f"p{place}"} | fields for place in range(ROWS)]


def _notifications(status: str, **fields: Any) -> list[dict[str, Any]]:
    common = {"status": status, "ts": START, "created_at": START, "tries": 0, "priority": Priority.NORMAL.value}
    return [row | {"event": new_id()} for row in _people("id", **common, **fields)]


def _messages(**fields: Any) -> list[dict[str, Any]]:
    common = {"step": "hello", "channel": "email", "priority": Priority.NORMAL.value, "status": "delivered"}
    made = {"attempts": 1, "delivery": "at_least_once", "created_at": START, "notification": new_id()}
    return _people("id", **common, **made, **fields)


def _windows(step: str, mode: str, **fields: Any) -> list[dict[str, Any]]:
    common = {"step": step, "key": "", "mode": mode, "rule": {"seconds": 60}, "opened_at": START, "state": "open"}
    return _people("id", **common | fields)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """Of 4,000 people each has ended, sleeps, was told twice and in a digest, and collects for two; nothing is due."""
    made = Database(migrated(request, request.param))
    with made.write() as connection:
        insert_new(connection, notifications, _notifications("completed"))
        insert_new(connection, notifications, _notifications("waiting", wake_at=LATER))
        insert_new(connection, notifications, _notifications("running", lease_until=LATER)[:1])
        insert_new(connection, messages, _messages())
        insert_new(connection, messages, _messages(released_at=START))
        insert_new(connection, messages, _messages(next_attempt_at=LATER)[:1])
        insert_new(connection, windows_table, _windows("daily", "calendar", closes_at=START))
        insert_new(connection, windows_table, _windows("daily", "calendar", closes_at=START, **_TOLD))
        insert_new(connection, windows_table, _windows("soon", "fixed", closes_at=LATER))
    yield made
    made.close()


def _close_one(connection: sa.Connection) -> None:
    due = _windows("late", "fixed", closes_at=START)[:1]
    insert_new(connection, windows_table, due)
    closing.close_due(connection, "default", "news", horizon=START, now=START)


_CLAIM: dict[str, Any] = {"token": new_id(), "lease": timedelta(minutes=1), "now": START, "limit": 10}
QUESTIONS: dict[str, Callable[[sa.Connection], object]] = {
    "what there is to do": lambda c: probe.look(c, "default", ("news", "other"), START),
    "what there is to do of one workflow": lambda c: backlog.of_workflow(c, "default", "news", START),
    "whether a window is past its end": lambda c: windows.any_due(c, "default", "news", START),
    "when the next window closes": lambda c: windows.next_close(c, "default", "news"),
    "which windows to close": _close_one,
    "who may still join a window": lambda c: backlog.undecided_before(c, "default", "news"),
    "whom to claim": lambda c: claims.claim(c, "default", "news", **_CLAIM),
    "whose claim stands": lambda c: claims.lock(c, "default", [new_id()], new_id()),
    "which messages to take up": lambda c: due_messages.claim(c, "default", **_CLAIM),
    "what is left of the ended": lambda c: recalls.of_ended(c, "default", "news", ["k"]),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_reads_what_it_answers(database: Database, question: str) -> None:
    looked_at = _looked_at(database)

    with database.write() as connection:
        QUESTIONS[question](connection)

    assert looked_at() <= MOST


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_somebody_spent_is_read_from_their_own_messages(database: Database) -> None:
    """PostgreSQL comes to begin there once it knows how many messages there are."""
    looked_at = _looked_at(database)

    with database.write() as connection:
        found = spending.spent(connection, "default", {"p1", "p2"}, START - timedelta(days=1))

    assert [row.subscriber for row in found] == ["p1", "p2"] * 2
    assert looked_at() <= MOST


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_who_joins_a_digest_reads_nobody_elses(database: Database) -> None:
    """PostgreSQL, too, once it knows that there are many."""
    looked_at = _looked_at(database)
    joining = Joining(new_id(), "p1", new_id(), START, "daily", "", "calendar", lambda _: LATER)

    with database.write() as connection:
        join(connection, "default", "news", [joining], START)

    assert looked_at() <= MOST


def _looked_at(database: Database) -> Callable[[], int]:
    """How much has been looked at from here on."""
    found = [0]

    def count() -> None:
        found[0] += 1

    def explain(_: Any, cursor: Any, statement: str, parameters: Any, *__: Any) -> None:
        if statement.lstrip().startswith(("SELECT", "WITH")):
            [plan] = cursor.connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters).fetchone()
            found[0] += sum(_rows(one["Plan"]) for one in (json.loads(plan) if isinstance(plan, str) else plan))

    writes = database.engines[-1]
    if database.is_sqlite:
        with writes.connect() as connection:
            driver: Any = connection.connection.driver_connection
            driver.set_progress_handler(count, 100)
    else:
        event.listen(writes, "before_cursor_execute", explain)
    return lambda: found[0]


def _rows(node: dict[str, Any]) -> int:
    """Rows that a plan's scans looked at, wanted or not."""
    thrown_away = sum(rows for name, rows in node.items() if name.startswith("Rows Removed by "))
    own = 0 if node.get("Plans") and not thrown_away else node["Actual Rows"] + thrown_away
    return int(own * node["Actual Loops"]) + sum(map(_rows, node.get("Plans", [])))
