"""The relay: what applications committed in databases of their own reaches the store, once, whatever happens."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from notify.engine import idle, relay
from notify.engine.relay import relaying
from notify.store.tables import dedupe, events
from tests.contracts.outbox_world import Shop, install, made, order, raw, store
from tests.eventually import eventually
from tests.world import World

TELL = """
@workflow("tell", on="happened", to="ann")
async def tell(n: Notification[dict[str, Any]]) -> None:
    await n.in_app("note")
"""
PAIRS = [("sqlite", "sqlite"), ("postgresql", "postgresql"), ("sqlite", "postgresql")]


@pytest.fixture(params=PAIRS, ids="-".join)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    ours, theirs = request.param
    with World(tmp_path / "home", store(request, ours)) as world:
        world.workflow(TELL, "tell/note.in_app")
        url = made(request, theirs)
        install(url)
        yield Shop(url, world)


def emit(shop: Shop, *ids: str | None, **options: Any) -> list[str]:
    """Emit an event for each id, and commit; answers their uids."""
    with closing(raw(shop.url)) as connection:
        receipts = [shop.world.emit("happened", id=one, connection=connection, **options) for one in ids]
        connection.commit()
    return [one.uid for one in receipts]


def stored(shop: Shop) -> set[str]:
    return {row.uid for row in shop.world.rows(sa.select(events.c.uid))}


# --- each once ------------------------------------------------------------------------------------------


def test_more_than_a_page_is_copied_whole(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "PAGE", 3)
    uids = emit(shop, *[None] * 8)

    shop.copied()

    assert (stored(shop), shop.written) == (set(uids), [])
    assert len(shop.world.notifications()) == 8


def test_a_page_killed_before_it_was_deleted_changes_nothing_the_second_time(shop: Shop) -> None:
    uids = emit(shop, None, "e1", "e1")
    killed = shop.relay()
    copy = killed._copy

    def die(rows: Sequence[Any]) -> list[int]:
        copy(rows)
        raise KeyboardInterrupt

    killed._copy = die
    with pytest.raises(KeyboardInterrupt):
        killed.turn()
    killed.application.close()
    shop.world.settle()
    before = shop.written, stored(shop), shop.world.rows(sa.select(dedupe)), len(shop.world.notifications())
    shop.copied()

    assert before[:2] == (uids, set(uids[:2]))
    after = shop.written, stored(shop), shop.world.rows(sa.select(dedupe)), len(shop.world.notifications())
    assert after == ([], *before[1:])
    assert before[3] == 2


def test_an_id_is_judged_when_it_is_copied(shop: Shop) -> None:
    shop.world.emit("happened", id="e1")
    emit(shop, "e1", "e2")

    shop.copied()

    assert [row.id for row in shop.world.rows(sa.select(events.c.id).order_by(events.c.id))] == ["e1", "e2"]


def test_two_workers_copy_side_by_side(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "PAGE", 5)
    uids = emit(shop, *[None] * 60)
    together = threading.Barrier(2)
    failed: list[Exception] = []

    def work() -> None:
        one = shop.relay()
        together.wait()
        try:
            while one.turn() or one.waiting:
                continue
        except Exception as error:
            failed.append(error)
        one.application.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (failed, stored(shop), shop.written) == ([], set(uids), [])


def test_an_environment_copies_its_own(shop: Shop) -> None:
    uids = emit(shop, None)

    assert shop.relay("staging").turn() == 0
    assert shop.written == uids


def test_a_look_at_a_file_nobody_wrote_to_reads_no_row(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    one = shop.relay()
    one.turn()
    asked: list[Any] = []
    monkeypatch.setattr(one.application, "waiting", lambda *given: bool(asked.append(given)))

    one.turn()
    idle_looks = len(asked)
    emit(shop, None)
    one.turn()

    assert (idle_looks, len(asked)) == ((0, 1) if shop.url.startswith("sqlite") else (1, 2))


# --- ids that commit out of order (PostgreSQL) ----------------------------------------------------------


def test_who_holds_a_transaction_open_holds_nobody_else_up(
    tmp_path: Path, request: pytest.FixtureRequest, make_database: Callable[[], str]
) -> None:
    with World(tmp_path / "home", store(request, "postgresql")) as world:
        shop = Shop(made(request, "postgresql"), world)
        install(shop.url)
        with closing(raw(shop.url)) as slow:
            first = world.emit("happened", connection=slow).uid
            later = emit(shop, None, None)
            one = shop.relay()
            assert (one.turn(), one.turn(), stored(shop)) == (2, 0, set(later))
            assert not one.waiting
            slow.commit()

        assert (one.turn(), stored(shop), shop.written) == (1, {first, *later}, [])
        one.application.close()


# --- rows that are not ours -----------------------------------------------------------------------------


WRONG = {"kind": "'order'", "name": "''", "data": "'[1]'", "user": "'5'"}
#: What the types of the columns let through.
ONLY = {
    "sqlite": {"ts": "'yesterday'", "uid": "'u1'", "subject": "CAST(x'ff' AS TEXT)"},
    "postgresql": {"ts": "'infinity'", "received_at": "'12026-01-01'"},
}


def test_a_row_that_cannot_be_stored_stays_and_holds_nobody_up(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    spoilt = WRONG | ONLY[sa.make_url(shop.url).get_backend_name()]
    uids = emit(shop, *[None] * (len(spoilt) + 2))
    with closing(raw(shop.url)) as connection:
        for seq, (column, words) in enumerate(spoilt.items(), start=2):
            connection.execute(f'UPDATE notify_outbox SET "{column}" = {words} WHERE seq = {seq}')
        connection.commit()
    one = shop.relay()

    turns = one.turn(), one.turn()
    late = emit(shop, None)
    turns += (one.turn(), one.turn())
    one.application.close()

    assert turns == (len(uids), 0, 1, 0)
    assert stored(shop) == {uids[0], uids[-1], *late}
    assert (one.waiting, len(shop.written)) == (False, len(spoilt))
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert [
        (f"row {seq} of" in words, f"{column}: " in words)
        for (seq, column), words in zip(enumerate(spoilt, start=2), said, strict=True)
    ] == [(True, True)] * len(spoilt)


def test_what_only_the_store_refuses_is_refused_alone(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    uids = emit(shop, None, "bad", None)
    accept = relay.events.accept

    def choosy(connection: sa.Connection, environment: str, batch: Sequence[Any]) -> Any:
        if any(event.id == "bad" for event in batch):
            raise ValueError("no")
        return accept(connection, environment, batch)

    monkeypatch.setattr(relay.events, "accept", choosy)
    one = shop.relay()
    one.turn()
    one.application.close()

    assert (stored(shop), shop.written) == ({uids[0], uids[2]}, [uids[1]])


# --- the service of the worker --------------------------------------------------------------------------


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"postgresql+psycopg://nobody@127.0.0.1:{listening.getsockname()[1]}/nowhere"


async def test_a_database_that_does_not_answer_holds_up_neither_the_others_nor_the_worker(
    shop: Shop, silent: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = f"sqlite:///{tmp_path / 'nowhere.db'}"
    engine = replace(shop.world.engine, settings=replace(shop.world.settings, outboxes=(silent, nowhere, shop.url)))

    async with relaying(engine):
        uids = set(await asyncio.to_thread(emit, shop, None))
        await eventually(lambda: stored(shop) == uids, "it is copied")
        await eventually(lambda: "nowhere" in caplog.text, "the missing file is reported")

    assert not (tmp_path / "nowhere.db").exists()
    assert caplog.text.count("nowhere.db cannot be copied") == 1


async def test_a_worker_is_idle_when_the_outboxes_are_empty(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = replace(shop.world.engine, settings=replace(shop.world.settings, outboxes=(shop.url,)))
    uids = set(await asyncio.to_thread(emit, shop, None))
    goes_on, copy = threading.Event(), relay.Relay._copy

    def slowly(self: relay.Relay, rows: Sequence[Any]) -> list[int]:
        assert goes_on.wait(30)
        return copy(self, rows)

    monkeypatch.setattr(relay.Relay, "_copy", slowly)
    async with relaying(engine):
        before = (await idle.look(engine)).idle
        goes_on.set()
        await eventually(engine.nothing_elsewhere, "the outbox is empty")
        assert stored(shop) == uids

    assert not before


async def test_an_outbox_made_later_is_copied_without_a_restart(
    shop: Shop, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> None:
    bare = Shop(made(request, "sqlite", "bare"), shop.world)
    engine = replace(shop.world.engine, settings=replace(shop.world.settings, outboxes=(bare.url,)))

    async with relaying(engine):
        await eventually(lambda: "Install it with `notify db outbox" in caplog.text, "it is said")
        await asyncio.to_thread(install, bare.url)
        uids = set(await asyncio.to_thread(emit, bare, None))
        await eventually(lambda: stored(shop) == uids, "it is copied", within=60)


def test_an_application_that_writes_its_file_for_long_is_not_disturbed(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("notify.store.application._WAIT", 0.05)
    with World(tmp_path / "home", store(request, "sqlite")) as world:
        shop = Shop(made(request, "sqlite"), world)
        install(shop.url)
        uids = emit(shop, None)
        with closing(raw(shop.url, isolation_level=None)) as slow:
            slow.execute("BEGIN IMMEDIATE")
            order(slow)
            one = shop.relay()
            with pytest.raises(OperationalError, match="locked"):
                one.turn()
            slow.execute("COMMIT")

        assert stored(shop) == set(uids)
        one.application.close()
        assert (one.turn(), shop.orders, shop.written) == (1, ["o1"], [])
        assert stored(shop) == set(uids)
