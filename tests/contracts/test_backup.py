"""A backup of an hour ago is restored: what is known then, what is sent again, and what the application must repeat."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from notify import clock
from notify.model import Channel
from notify.store import audit
from tests import postgres
from tests.world import START, World, migrated

SOURCE = """
@workflow("ask", on="asked", to=lambda event: event.data["who"])
async def ask(n: Notification[dict[str, Any]]) -> None:
    if n.payload.get("later"):
        await n.sleep("a-while", minutes=30)
    await n.email("note")
"""
Restore = Callable[[], str]
HOUR = timedelta(hours=1)


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        made.workflow(SOURCE, "ask/note.email")
        made.people("ana", "bo", "cy", "di")
        yield made


def _back_up(world: World, folder: Path, request: pytest.FixtureRequest) -> Restore:
    """Back the database up as it is now, while it is in use; answers what restores it under another URL."""
    file = folder / "notify.backup"
    if world.engine.database.is_sqlite:
        live = sqlite3.connect(world.engine.database.url.database or "")
        with closing(live), closing(sqlite3.connect(file)) as copy:
            live.backup(copy)
        return lambda: f"sqlite:///{shutil.copy(file, folder / 'restored.db')}"
    _run("pg_dump", "--format=custom", f"--file={file}", f"--dbname={_plain(world.settings.database_url)}")

    def restore() -> str:
        url: str = request.getfixturevalue("make_database")()
        _run("pg_restore", "--no-owner", "--exit-on-error", f"--dbname={_plain(url)}", str(file))
        return url

    return restore


def _plain(url: str) -> str:
    return sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def _run(program: str, *words: str) -> None:
    done = postgres.run(program, *words)
    assert done.returncode == 0, done.stderr


def _sent(world: World) -> Counter[tuple[str, str]]:
    """(person, message id) → how often the provider was called for it."""
    return Counter((one.subscriber, one.id) for one in world.providers[Channel.EMAIL].accepted)


def _ask(world: World, who: str, **data: Any) -> None:
    world.emit("asked", {"who": who, **data}, id=f"ask-{who}")
    world.settle()


def _trigger(world: World, who: str) -> None:
    world.trigger("ask", [who], {"who": who}, transaction_id=f"ask-{who}")
    world.settle()


def test_what_was_sent_since_the_backup_is_sent_again_under_the_same_id(
    world: World, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    _ask(world, "ana")
    _ask(world, "bo", later=True)
    world.restart()  # a worker that was there an hour ago holds no lease any more
    restore = _back_up(world, tmp_path, request)
    world.advance(minutes=30)
    _ask(world, "cy")
    _trigger(world, "di")
    before = _sent(world)
    (tmp_path / "after").mkdir()

    with World(tmp_path / "after", restore(), flows=world.flows, at=START + HOUR) as restored:
        restored.settle()
        again = _sent(restored)
        _ask(restored, "ana")
        _ask(restored, "cy")
        _trigger(restored, "di")
        repeated = _sent(restored) - again
        found = _audited(restored)

    assert {person for person, _ in before} == {"ana", "bo", "cy", "di"}
    # Who waited then is told again; a provider that knows the id tells nobody twice.
    assert {person for person, _ in again} == {"bo"}
    assert set(again) < set(before)
    # What came later is unknown until the application says it again; what came before was told.
    assert {person for person, _ in repeated} == {"cy", "di"}
    # A trigger's transaction id makes the same message of it; an event that is told anew is a new one.
    assert {person for person, _ in set(repeated) & set(before)} == {"di"}
    assert found.clean


def _audited(world: World) -> audit.Audit:
    with world.engine.database.read() as connection:
        listeners = world.engine.registry.listeners()
        return audit.audit(connection, world.settings.environment, listeners, now=clock.now())
