"""Emitting on a connection of the application's: the event commits or rolls back with the caller's rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from psycopg.rows import dict_row
from sqlalchemy.orm import Session

from notify.errors import InvalidInput, NotInTransaction, NotTheStore
from notify.model import Verdict
from notify.store.tables import events, outbox
from tests.contracts.outbox_world import KINDS, Opened, order, orm_session, raw
from tests.world import START, World, migrated

TELL = """
@workflow("tell", on="happened", to="ann")
async def tell(n: Notification[dict[str, Any]]) -> None:
    await n.in_app("note")
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    return migrated(request, request.param)


@pytest.fixture
def world(tmp_path: Path, url: str) -> Iterator[World]:
    with World(tmp_path / "home", url) as made:
        made.workflow(TELL, "tell/note.in_app")
        with made.notify.database.write() as connection:
            connection.execute(sa.text("CREATE TABLE orders (id TEXT)"))
        yield made


def orders(world: World) -> list[str]:
    with world.notify.database.read() as connection:
        return list(connection.execute(sa.text("SELECT id FROM orders")).scalars())


def count(world: World, table: sa.Table) -> int:
    return len(world.rows(sa.select(table.c.uid)))


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def opened(request: pytest.FixtureRequest) -> Opened:
    return request.param


# --- together -------------------------------------------------------------------------------------------


def test_the_event_commits_with_the_caller_s_rows(world: World, url: str, opened: Opened) -> None:
    with opened(url) as connection:
        order(connection)
        receipt = world.emit("happened", {"a": [1, "é"]}, id="e1", v="2", user={"id": "ann"}, connection=connection)
        before = orders(world), count(world, outbox)
        connection.commit()

    assert (before, receipt.verdict) == (([], 0), None)
    assert (orders(world), count(world, outbox), count(world, events)) == (["o1"], 1, 0)
    world.settle()
    assert count(world, outbox) == 0
    [row] = world.rows(sa.select(events))
    assert (row.uid, row.verdict, row.data, row.id, row.v) == (receipt.uid, "accepted", {"a": [1, "é"]}, "e1", "2")
    assert (row.user, row.ts, row.received_at) == ({"id": "ann"}, START, START)
    assert world.statuses() == [("completed", None)]


def test_the_event_rolls_back_with_the_caller_s_rows(world: World, url: str, opened: Opened) -> None:
    with opened(url) as connection:
        order(connection)
        world.emit("happened", id="e1", connection=connection)
        connection.rollback()

    assert (orders(world), count(world, outbox)) == ([], 0)
    assert world.emit("happened", id="e1").verdict is Verdict.ACCEPTED


def test_batches_and_triggers_go_the_same_way(world: World, url: str, opened: Opened) -> None:
    with opened(url) as connection:
        order(connection)
        receipts = world.notify.emit_many([{"name": "happened", "data": {}}] * 3, connection=connection)
        receipts.append(world.trigger("tell", "bob", transaction_id="tx", connection=connection))
        connection.commit()

    assert [one.verdict for one in receipts] == [None] * 4
    assert receipts[-1].transaction_id == "tx"
    world.settle()
    assert sorted(row.subscriber for row in world.notifications()) == ["ann", "ann", "ann", "bob"]


def test_the_verdict_comes_when_the_event_is_taken_in(world: World, url: str, opened: Opened) -> None:
    with opened(url) as connection:
        order(connection)
        for id_ in ("e1", "e2", "e1"):
            world.emit("happened", id=id_, connection=connection)
        connection.commit()
    world.emit("happened", id="e2")

    world.settle()

    assert len(world.notifications()) == 2
    assert [row.id for row in world.rows(sa.select(events.c.id).order_by(events.c.id))] == ["e1", "e2"]


def test_a_mistake_leaves_the_caller_s_transaction_usable(world: World, url: str, opened: Opened) -> None:
    with opened(url) as connection:
        order(connection)
        with pytest.raises(InvalidInput):
            world.emit("happened", {"a": "\0"}, connection=connection)
        connection.commit()

    assert (orders(world), count(world, outbox)) == (["o1"], 0)


def test_what_is_committed_but_not_taken_in_yet_is_known(world: World, url: str) -> None:
    with orm_session(url) as session:
        world.trigger("tell", "ann", transaction_id="tx", connection=session)
        session.commit()

    found = world.notify.outcomes("tx")
    assert (found.known, found.settled) == (True, False)


def test_what_is_committed_but_not_taken_in_yet_can_be_cancelled(world: World, url: str) -> None:
    with orm_session(url) as session:
        world.trigger("tell", "ann", transaction_id="tx", connection=session)
        session.commit()

    assert world.notify.cancel("tx") == 1
    world.settle()
    assert world.messages() == []


def test_an_event_waits_in_the_outbox_for_its_time_as_well(world: World, url: str) -> None:
    with orm_session(url) as session:
        world.emit("happened", ts=START + timedelta(hours=1), connection=session)
        session.commit()

    world.settle()
    assert world.notifications() == []
    world.advance(hours=1)
    assert world.statuses() == [("completed", None)]


# --- no transaction -------------------------------------------------------------------------------------


def test_autocommit_is_refused(world: World, url: str) -> None:
    alone = {"isolation_level": None} if url.startswith("sqlite") else {"autocommit": True}

    with closing(raw(url, **alone)) as connection, pytest.raises(NotInTransaction):
        world.emit("happened", connection=connection)

    assert count(world, outbox) == 0


def test_a_transaction_begun_by_hand_is_a_transaction(world: World, url: str) -> None:
    alone = {"isolation_level": None} if url.startswith("sqlite") else {"autocommit": True}

    with closing(raw(url, **alone)) as connection:
        connection.execute("BEGIN")
        world.emit("happened", connection=connection)
        connection.execute("ROLLBACK")

    assert count(world, outbox) == 0


def through_the_engine(url: str) -> sa.Engine:
    return sa.create_engine(url, isolation_level="AUTOCOMMIT")


def through_options_of_the_engine(url: str) -> sa.Engine:
    return sa.create_engine(url).execution_options(isolation_level="AUTOCOMMIT")


@pytest.mark.parametrize("make", [through_the_engine, through_options_of_the_engine])
@pytest.mark.parametrize("kind", [sa.Connection, Session])
def test_autocommit_is_refused_however_it_was_asked_for(world: World, url: str, make: Any, kind: Any) -> None:
    engine = make(url)

    with (
        engine.connect() if kind is sa.Connection else Session(engine) as connection,
        pytest.raises(NotInTransaction),
    ):
        world.emit("happened", connection=connection)

    assert count(world, outbox) == 0
    engine.dispose()


# --- not the store --------------------------------------------------------------------------------------


@pytest.mark.parametrize("elsewhere", ["sqlite", "postgresql"])
def test_a_connection_to_another_database_is_refused(
    world: World, elsewhere: str, opened: Opened, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    file = f"sqlite:///{tmp_path / 'other.db'}"
    other = file if elsewhere == "sqlite" else request.getfixturevalue("postgres_url")

    with opened(other) as connection, pytest.raises(NotTheStore) as caught:
        world.emit("happened", connection=connection)

    assert str(sa.make_url(other).database) in str(caught.value)


def test_a_database_in_memory_is_called_that(world: World) -> None:
    with closing(sqlite3.connect(":memory:")) as connection, pytest.raises(NotTheStore, match="in-memory"):
        world.emit("happened", connection=connection)


@pytest.mark.parametrize("connection", [[], "sqlite:///notify.db", 5, sa.create_engine("sqlite://")], ids=repr)
def test_a_connection_we_do_not_know_is_named(world: World, connection: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        world.emit("happened", connection=connection)

    assert caught.value.field == "connection"
    assert type(connection).__name__ in str(caught.value)


def by_name(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip([column[0] for column in cursor.description], row, strict=True))


def test_how_the_caller_reads_rows_makes_no_difference(world: World, url: str) -> None:
    with closing(raw(url)) as connection:
        if isinstance(connection, sqlite3.Connection):
            connection.row_factory = by_name
        else:
            connection.row_factory = dict_row
        world.emit("happened", connection=connection)
        connection.commit()

    assert count(world, outbox) == 1
