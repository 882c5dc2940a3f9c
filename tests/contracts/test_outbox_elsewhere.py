"""Emitting in the application's own database, which is not the store: the row is there with the caller's, or not."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy import event

from notify.errors import NotInTransaction, NotTheStore, OutOfReach
from notify.store.application import ddl
from notify.store.database import Database
from notify.store.tables import events, outbox
from tests.contracts.outbox_world import KINDS, Opened, Shop, install, made, order, raw, store
from tests.postgres import Server
from tests.world import START, World

TELL = """
@workflow("tell", on="happened", to="ann")
async def tell(n: Notification[dict[str, Any]]) -> None:
    await n.in_app("note")
"""
#: The kind of the store, and of the application's database.
PAIRS = [("sqlite", "sqlite"), ("postgresql", "postgresql")]


@pytest.fixture(params=PAIRS, ids="-".join)
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    """A shop whose database has no outbox."""
    ours, theirs = request.param
    with World(tmp_path / "home", store(request, ours)) as world:
        world.workflow(TELL, "tell/note.in_app")
        yield Shop(made(request, theirs), world)


@pytest.fixture
def shop(bare: Shop) -> Shop:
    install(bare.url)
    return bare


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def opened(request: pytest.FixtureRequest) -> Opened:
    return request.param


# --- together with the caller's rows --------------------------------------------------------------------


def test_the_event_commits_with_the_caller_s_rows(shop: Shop, opened: Opened) -> None:
    with opened(shop.url) as connection:
        order(connection)
        receipt = shop.world.emit(
            "happened", {"a": [1, "é"]}, id="e1", v="2", user={"id": "ann"}, connection=connection
        )
        before = shop.orders, shop.written
        connection.commit()

    assert (before, receipt.verdict) == (([], []), None)
    assert (shop.orders, shop.written) == (["o1"], [receipt.uid])
    assert shop.world.rows(sa.select(outbox)) == []
    shop.copied()
    assert shop.written == []
    [row] = shop.world.rows(sa.select(events))
    assert (row.uid, row.verdict, row.data, row.id, row.v) == (receipt.uid, "accepted", {"a": [1, "é"]}, "e1", "2")
    assert (row.user, row.ts, row.received_at, row.subject) == ({"id": "ann"}, START, START, None)
    assert shop.world.statuses() == [("completed", None)]


def test_the_event_rolls_back_with_the_caller_s_rows(shop: Shop, opened: Opened) -> None:
    with opened(shop.url) as connection:
        order(connection)
        shop.world.emit("happened", connection=connection)
        connection.rollback()

    assert (shop.orders, shop.written) == ([], [])


def test_batches_and_triggers_go_the_same_way(shop: Shop, opened: Opened) -> None:
    many = [{"workflow": "tell", "to": one, "transaction_id": one} for one in ("bob", "eve")]
    with opened(shop.url) as connection:
        order(connection)
        receipts = shop.world.notify.emit_many([{"name": "happened", "data": {}}] * 3, connection=connection)
        receipts.append(shop.world.trigger("tell", "dan", connection=connection))
        receipts += shop.world.notify.trigger_many(many, connection=connection)
        connection.commit()

    assert [one.verdict for one in receipts] == [None] * 6
    assert [one.transaction_id for one in receipts[-2:]] == ["bob", "eve"]
    assert shop.written == [one.uid for one in receipts]
    shop.copied()
    assert sorted(row.subscriber for row in shop.world.notifications()) == ["ann", "ann", "ann", "bob", "dan", "eve"]


def test_autocommit_is_refused(shop: Shop) -> None:
    alone: dict[str, Any] = {"isolation_level": None} if shop.url.startswith("sqlite") else {"autocommit": True}

    with closing(raw(shop.url, **alone)) as connection, pytest.raises(NotInTransaction):
        shop.world.emit("happened", connection=connection)

    assert shop.written == []


# --- no outbox ------------------------------------------------------------------------------------------


def test_a_missing_outbox_leaves_the_caller_s_transaction_usable(bare: Shop, opened: Opened) -> None:
    with opened(bare.url) as connection:
        order(connection)
        with pytest.raises(NotTheStore) as caught:
            bare.world.emit("happened", connection=connection)
        connection.commit()

    name = str(sa.make_url(bare.url).database)
    assert "`notify db outbox " in str(caught.value)
    assert name in caught.value.url
    assert bare.orders == ["o1"]


def test_an_outbox_made_meanwhile_is_found(bare: Shop) -> None:
    with closing(raw(bare.url)) as connection:
        with pytest.raises(NotTheStore):
            bare.world.emit("happened", connection=connection)
        connection.rollback()
        install(bare.url)
        receipt = bare.world.emit("happened", connection=connection)
        connection.commit()

    assert bare.written == [receipt.uid]


def test_a_database_in_memory_is_out_of_reach(shop: Shop) -> None:
    with closing(sqlite3.connect(":memory:")) as connection, pytest.raises(OutOfReach):
        shop.world.emit("happened", connection=connection)


def test_what_is_known_of_a_database_is_not_asked_again(shop: Shop) -> None:
    engine = sa.create_engine(shop.url)
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2].split()[0]))

    for _ in range(2):
        with engine.begin() as connection:
            shop.world.emit("happened", connection=connection)
    engine.dispose()

    assert statements[-2:] == (["PRAGMA", "INSERT"] if shop.url.startswith("sqlite") else ["INSERT", "INSERT"])


# --- making it ------------------------------------------------------------------------------------------


def described(url: str) -> dict[str, Any]:
    engine = sa.create_engine(url)
    look = sa.inspect(engine)
    columns = {
        one["name"]: (str(one["type"]), one["nullable"], one.get("identity"))
        for one in look.get_columns("notify_outbox")
    }
    about = (look.get_pk_constraint, look.get_foreign_keys, look.get_unique_constraints, look.get_indexes)
    found = {"columns": columns} | {method.__name__: method("notify_outbox") for method in about}
    engine.dispose()
    return found


def test_making_it_again_changes_nothing(bare: Shop) -> None:
    assert (install(bare.url), install(bare.url)) == (True, False)


def test_the_printed_ddl_makes_the_same(bare: Shop, request: pytest.FixtureRequest) -> None:
    kind = "sqlite" if bare.url.startswith("sqlite") else "postgresql"
    other = made(request, kind, "other")
    install(bare.url)

    with closing(raw(other)) as connection:
        script = connection.executescript if isinstance(connection, sqlite3.Connection) else connection.execute
        script(ddl(kind))
        connection.commit()

    assert described(other) == described(bare.url)
    assert list(described(other)["columns"]) == [column.name for column in outbox.columns]
    assert described(other)["get_foreign_keys"] == described(other)["get_unique_constraints"] == []


# --- which database it is (PostgreSQL) ------------------------------------------------------------------


@pytest.fixture
def elsewhere(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    with World(tmp_path / "home", store(request, "postgresql")) as world:
        yield world


def test_two_names_of_one_server_are_one_store(elsewhere: World, tmp_path: Path) -> None:
    url = sa.make_url(elsewhere.settings.database_url)
    if not str(url.query.get("host", "")).startswith("/"):
        pytest.skip("the server given is not on a Unix socket")
    link = tmp_path / "s"
    link.symlink_to(str(url.query["host"]))

    with closing(raw(url.update_query_dict({"host": str(link)}).render_as_string(hide_password=False))) as connection:
        receipt = elsewhere.emit("happened", connection=connection)
        connection.commit()

    assert [row.uid for row in elsewhere.rows(sa.select(outbox.c.uid))] == [receipt.uid]


def test_another_server_with_a_database_of_that_name_is_not_the_store(
    elsewhere: World, durable_postgres: Server
) -> None:
    name = sa.make_url(elsewhere.settings.database_url).database
    with closing(raw(durable_postgres.url, autocommit=True)) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    other = sa.make_url(durable_postgres.url).set(database=name).render_as_string()
    copy = Database(other)
    with copy.write() as connection:
        outbox.create(connection)
    copy.close()

    with closing(raw(other)) as connection, pytest.raises(NotTheStore):
        elsewhere.emit("happened", connection=connection)


def test_a_file_of_another_name_is_the_store(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with World(tmp_path / "home", store(request, "sqlite")) as world:
        link, file = tmp_path / "link.db", str(sa.make_url(world.settings.database_url).database)
        link.symlink_to(file)
        with closing(sqlite3.connect(link)) as connection:
            world.emit("happened", connection=connection)
            connection.commit()
        shutil.copy(file, tmp_path / "copy.db")
        with closing(sqlite3.connect(tmp_path / "copy.db")) as connection, pytest.raises(NotTheStore):
            world.emit("happened", connection=connection)

        assert len(world.rows(sa.select(outbox.c.uid))) == 1


def test_the_outbox_found_is_written_whatever_the_search_path_becomes(
    elsewhere: World, make_database: Callable[[], str]
) -> None:
    url = make_database()
    install(url)
    with closing(raw(url)) as connection:
        elsewhere.emit("happened", connection=connection)
        connection.execute("CREATE SCHEMA tenant")
        connection.execute("SET search_path = tenant")
        elsewhere.emit("happened", connection=connection)
        connection.commit()

    assert len(Shop(url, elsewhere).written) == 2


def test_the_rights_the_ddl_names_are_enough(elsewhere: World, make_database: Callable[[], str]) -> None:
    url = make_database()
    install(url)
    database = sa.make_url(url).database
    application, worker = f"{database}_app", f"{database}_worker"
    with closing(raw(url, autocommit=True)) as admin:
        admin.execute(f"CREATE ROLE {application} LOGIN; CREATE ROLE {worker} LOGIN")
        admin.execute(f"GRANT INSERT ON notify_outbox TO {application}")
        admin.execute(f"GRANT SELECT, UPDATE (seq), DELETE ON notify_outbox TO {worker}")
        try:
            with psycopg.connect(
                sa.make_url(url).set(drivername="postgresql", username=application).render_as_string()
            ) as connection:
                elsewhere.emit("happened", connection=connection)
            engine = sa.create_engine(sa.make_url(url).set(username=application))
            with engine.begin() as connection:
                elsewhere.emit("happened", connection=connection)
            engine.dispose()
            relay = Shop(sa.make_url(url).set(username=worker).render_as_string(), elsewhere).relay()
            assert relay.turn() == 2
            relay.application.close()
        finally:
            admin.execute(f"DROP OWNED BY {application}, {worker}; DROP ROLE {application}, {worker}")

    assert len(elsewhere.rows(sa.select(events.c.uid))) == 2
