"""However much is stored and however many wait, an event is looked for a page at a time, on both databases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from notify.expressions import canonical
from notify.model import Event
from notify.store import awaiting, events
from tests.world import START, World, migrated

WAIT = """
@workflow("paid", on="order/placed", to=lambda event: event.data["user"])
async def paid(n: Notification[dict[str, Any]]) -> None:
    found = await n.wait_for_event("payment", "order/paid", match={match!r}, hours=1)
    calls.append((n.subscriber.id, found and found.data["n"]))
"""
PAGE = 5
#: By CEL alone: no path has to be equal.
AT_LEAST = "async.data.n >= event.data.n"
VALUES: list[Any] = [0, 1, 1.0, 1.5, -0.0, 2**53, float(2**53), 10**15, 1e15, 0.1, "1", "true", "", "é\"'\\", True]
VALUES += [False, None, [], [1], {}, {"a": 1}, {"a": 1.0}]


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        yield made


def pay(world: World, **data: Any) -> None:
    world.emit("order/paid", data, ts=START + timedelta(minutes=1))


def place(world: World, n: Any, *people: str) -> None:
    world.people(*people)
    for one in people:
        world.emit("order/placed", {"user": one, "n": n}, ts=START)


def read(world: World, values: Sequence[Any], path: str = "data.of.n") -> list[Any]:
    with world.notify.database.read() as connection:
        pages = events.since(connection, "default", "order/paid", START, world.clock.at, (path, values))
        return [event.data["of"].get("n", "missing") for page in pages for event in page]


def test_all_events_are_read_that_have_a_value_and_no_text_or_number_for_another(world: World) -> None:
    world.advance(hours=1)
    for value in VALUES:
        pay(world, of={"n": value})
    pay(world, of={})
    world.settle()

    for value in VALUES:
        same = [canonical(one) for one in VALUES if canonical(one) == canonical(value)]
        found = [canonical(one) for one in read(world, [value, "?"])]
        assert [one for one in found if one == canonical(value)] == same
        if isinstance(value, str) or not world.notify.database.is_sqlite:
            assert found == same
        elif isinstance(value, int | float):
            assert {one for one in found if one not in same} <= {"true", "false"} | {canonical(int(value))}


def test_a_wait_for_a_number_is_given_what_equals_it(world: World) -> None:
    world.workflow(WAIT.format(match="data.n"))
    world.advance(minutes=10)
    for n in (True, "7", 8, 7.0):
        pay(world, n=n)
    place(world, 7, "ann")
    place(world, True, "bob")
    place(world, None, "cem")
    world.settle()

    assert sorted(world.module().calls) == [("ann", 7.0), ("bob", True)]


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many events each page had that was read, where one has five."""
    found: list[int] = []
    since = events.since

    def noted(*args: Any) -> Iterator[Sequence[Event]]:
        for page in since(*args):
            found.append(len(page))
            yield page

    monkeypatch.setattr(events, "PAGE", PAGE)
    monkeypatch.setattr(events, "since", noted)
    return found


def test_stored_events_are_asked_page_by_page_until_everybody_has_found_theirs(world: World, pages: list[int]) -> None:
    world.workflow(WAIT.format(match=AT_LEAST))
    world.advance(minutes=10)
    for n in range(23):
        pay(world, n=n)
    world.settle()
    place(world, 3, "ann")
    place(world, 7, "bob")
    world.settle()

    assert sorted(world.module().calls) == [("ann", 3), ("bob", 7)]
    assert pages == [PAGE, PAGE]


def test_whoever_finds_nothing_has_read_every_page_and_waits(world: World, pages: list[int]) -> None:
    world.workflow(WAIT.format(match=AT_LEAST))
    world.advance(minutes=10)
    for n in range(12):
        pay(world, n=n)
    world.settle()
    place(world, 50, "ann")
    world.settle()
    assert (world.module().calls, pages) == ([], [5, 5, 2])

    pay(world, n=51)
    world.settle()
    assert world.module().calls == [("ann", 51)]


@pytest.mark.parametrize("match", [AT_LEAST, None])
def test_those_who_wait_are_met_page_by_page(world: World, match: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    world.workflow(WAIT.format(match=match))
    people = [f"p{number:02}" for number in range(12)]
    place(world, 3, *people)
    world.settle()
    loads: list[int] = []
    load, meet = events.load, awaiting.meet
    monkeypatch.setattr(awaiting, "PAGE", PAGE)
    monkeypatch.setattr(events, "load", lambda *args: (loads.append(len(args[2])), load(*args))[1])
    monkeypatch.setattr(awaiting, "meet", lambda *args: (loads.append(len(args[2])), meet(*args))[1])
    world.advance(minutes=1)
    pay(world, n=3)
    world.settle()

    assert sorted(world.module().calls) == [(one, 3) for one in people]
    assert loads[:6] == [5, 5, 2, 5, 5, 2]
