"""The database is killed while calls are made: what they came to is told once it is back, and nothing is sent twice."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from notify.engine import delivery
from notify.errors import StoreUnavailable
from notify.model import Channel, Dispatch, Outcome, OutcomeKind
from tests.faults.crash_load import End, violations
from tests.faults.twins import later
from tests.postgres import Server
from tests.world import World

Act = Callable[[], object]
#: Calls in a wave; two waves of a channel are under way at once.
WAVE = 10


@pytest.fixture
def world(tmp_path: Path, durable_postgres: Server) -> Iterator[World]:
    """Sixty people are about to get an e-mail and a push."""
    with World(tmp_path, durable_postgres.url) as world:
        world.workflow(
            '@workflow("both")\nasync def both(n: Notification[dict[str, Any]]) -> None:\n'
            '    await n.all(n.in_app("note"), n.email("note"))\n    await n.push("note")\n',
            *("both/note.in_app", "both/note.email", "both/note.push"),
        )
        people = [f"person-{number}" for number in range(60)]
        world.people(*people)
        world.trigger("both", people)
        for provider in world.providers.values():
            provider.concurrency = 2 * WAVE
        yield world


def _in_a_call(world: World, act: Act) -> None:
    calls: list[Dispatch] = []

    def script(dispatch: Dispatch) -> Outcome:
        calls.append(dispatch)
        if len(calls) == 30:
            act()
        return Outcome(OutcomeKind.ACCEPTED, "p-1")

    world.providers[Channel.EMAIL].script = script


def _in_a_commit(world: World, act: Act) -> None:
    """What calls came to is about to be committed: the first two waves of each channel have nothing to say yet."""
    engine, writers = world.engine.database.engines[-1], list[sa.Connection]()

    def statement(connection: sa.Connection, _: Any, text: str, *__: Any) -> None:
        if 'INSERT INTO "attempts"' in text:
            writers.append(connection)

    def commit(connection: sa.Connection) -> None:
        if connection in writers[4:5]:
            act()

    event.listen(engine, "before_cursor_execute", statement)
    event.listen(engine, "commit", commit)


class ComesBack:
    """What was killed is started in the second pause of somebody who waits for it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._gone = threading.Event()
        self._started = False

    def kill(self) -> None:
        """Kill the server; others may meet that before it is over."""
        self.server.kill()
        self._gone.set()

    def pauses(self) -> Iterator[float]:
        """No time passes in them."""
        yield 0.0
        assert self._gone.wait(60)
        if not self._started:
            self._started = True
            self.server.start()
        yield 0.0


@pytest.mark.parametrize("killed", [_in_a_call, _in_a_commit])
def test_a_database_that_comes_back_is_told_what_calls_came_to_and_nothing_is_sent_twice(
    world: World,
    durable_postgres: Server,
    monkeypatch: pytest.MonkeyPatch,
    killed: Callable[[World, Act], None],
) -> None:
    away = ComesBack(durable_postgres)
    monkeypatch.setattr(delivery, "pauses", away.pauses)
    killed(world, away.kill)
    with pytest.raises(StoreUnavailable):
        world.settle()
    end = _worked_on(world)

    # A call whose attempt was written when its commit was cut off was never made: unknown, and sent once all the same.
    assert end.unknown.total() <= 2 * WAVE
    assert set(end.accepted.values()) == {1}


def test_a_database_that_stays_away_leaves_unknown_only_what_was_under_way(
    world: World, durable_postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "PATIENCE", 0.0)
    _in_a_commit(world, durable_postgres.kill)
    with pytest.raises(StoreUnavailable):
        world.settle()
    durable_postgres.start()
    end = _worked_on(world)

    # Of each channel: two waves under way, and one whose outcomes were in the commit that was cut off.
    assert WAVE <= end.unknown.total() <= 2 * 3 * WAVE
    assert {id_: count for id_, count in end.accepted.items() if not 1 <= count <= 1 + end.unknown[id_]} == {}


def _worked_on(world: World) -> End:
    """What it all comes to; everybody was told."""
    for _ in range(4):  # a connection that was lost is found out once, or replaced before anybody needs it
        with suppress(StoreUnavailable):
            later(world)
            world.settle()
    statuses = Counter((row.channel, row.status) for row in world.messages())
    assert statuses == {("in_app", "delivered"): 60, ("email", "sent"): 60, ("push", "sent"): 60}
    assert violations(world) == []
    return End.of(world)


def test_an_application_learns_that_the_database_is_away_and_goes_on_when_it_is_back(
    world: World, durable_postgres: Server
) -> None:
    world.trigger("both", ["ana"], transaction_id="before")
    durable_postgres.kill()
    for _ in range(2):  # on the connection it had, then on a new one
        with pytest.raises(StoreUnavailable):
            world.trigger("both", ["ana"], transaction_id="meanwhile")
    durable_postgres.start()
    world.trigger("both", ["ana"], transaction_id="after")
    world.settle()

    told = {row.transaction_id for row in world.messages() if row.subscriber == "ana"}
    assert told == {"before", "after"}
