"""Waiting for events, on both databases: those that came before, those that come, and those that never do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from notify.engine import local
from notify.engine.context import Engine
from notify.store import events
from notify.store.tables import awaited
from tests.world import START, World, migrated, on_one_database

WAIT = """
@workflow("welcome", on="user/joined", to=lambda event: event.data["user"])
async def welcome(n: Notification[dict[str, Any]]) -> None:
    found = await n.wait_for_event("verified", "user/verified", match={match!r}, {timeout})
    calls.append((n.subscriber.id, found and found.data["how"]))
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        made.people("ann", "bob")
        yield made


def waiting(world: World, match: str | None = "user", timeout: str = "hours=1") -> None:
    world.workflow(WAIT.format(match=match, timeout=timeout))


def happen(world: World, name: str, minutes: float | None = None, **data: Any) -> str:
    at = None if minutes is None else START + timedelta(minutes=minutes)
    return world.emit(name, data, ts=at).transaction_id


def expected(world: World) -> int:
    return len(world.rows(sa.select(awaited.c.step)))


def test_the_event_that_matches_ends_the_wait_of_its_person_at_once(world: World) -> None:
    waiting(world)
    happen(world, "user/joined", user="ann")
    happen(world, "user/joined", user="bob")
    world.settle()
    world.advance(minutes=10)
    happen(world, "user/verified", user="bob", how="mail")
    world.settle()

    assert world.module().calls == [("bob", "mail")]
    assert expected(world) == 1


def test_one_that_does_not_come_answers_none_at_the_end_and_not_before(world: World) -> None:
    waiting(world)
    happen(world, "user/joined", user="ann")
    world.settle()
    world.advance(minutes=60, microseconds=-1)
    assert world.module().calls == []

    world.advance(microseconds=1)
    assert world.module().calls == [("ann", None)]
    assert expected(world) == 0
    happen(world, "user/verified", user="ann", how="late")
    world.settle()
    assert world.module().calls == [("ann", None)]


def test_an_event_stored_since_the_notification_began_counts_and_an_earlier_one_does_not(world: World) -> None:
    waiting(world)
    world.advance(minutes=10)
    happen(world, "user/verified", 1, user="ann", how="before")
    happen(world, "user/joined", 5, user="ann")
    happen(world, "user/verified", 7, user="ann", how="since")
    world.settle()

    assert world.module().calls == [("ann", "since")]


def test_an_event_in_time_wins_although_it_is_matched_after_the_time_is_over(world: World) -> None:
    """The worker was away: when it is back, both the end of the wait and the event before it lie behind."""
    waiting(world)
    happen(world, "user/joined", user="ann")
    world.settle()
    world.clock.at = START + timedelta(hours=5)
    happen(world, "user/verified", 59, user="ann", how="in time")
    world.settle()

    assert world.module().calls == [("ann", "in time")]


def test_one_after_the_end_does_not_although_it_is_matched_at_once(world: World) -> None:
    waiting(world)
    happen(world, "user/joined", user="ann")
    world.settle()
    world.clock.at = START + timedelta(hours=5)
    happen(world, "user/verified", 61, user="ann", how="too late")
    world.settle()

    assert world.module().calls == [("ann", None)]


def test_an_event_of_its_own_that_it_emitted_before_waiting_counts(world: World) -> None:
    world.workflow("""
    @workflow("welcome", on="user/joined", to=lambda event: event.data["user"])
    async def welcome(n: Notification[dict[str, Any]]) -> None:
        await n.emit("user/asked", {"user": n.subscriber.id})
        found = await n.wait_for_event("asked", "user/asked", match="user", days=1)
        calls.append(found is not None and found.name)
    """)
    happen(world, "user/joined", user="ann")
    world.settle()

    assert world.module().calls == ["user/asked"]


@on_one_database
@pytest.mark.parametrize(
    ("match", "data", "matches"),
    [
        (None, {"user": "zoe"}, True),
        ("user", {"user": "ann"}, True),
        ("user", {"user": "zoe"}, False),
        ("data.user", {}, False),
        ("event.data.user == async.data.by", {"user": "zoe", "by": "ann"}, True),
        ('event.data.user == async.data.user && async.data.plan == "pro"', {"user": "ann", "plan": "free"}, False),
        ('event.data.user == async.data.user && async.data.plan == "pro"', {"user": "ann", "plan": "pro"}, True),
        ("async.data.level > event.data.level", {"level": 3}, True),
        ("async.data.level > event.data.level", {"level": 1}, False),
    ],
)
def test_who_is_meant_is_said_by_a_path_or_an_expression(
    world: World, match: str | None, data: dict[str, Any], matches: bool
) -> None:
    waiting(world, match)
    happen(world, "user/joined", user="ann", level=2)
    world.settle()
    happen(world, "user/verified", **data, how="mail")
    world.settle()

    assert world.module().calls == ([("ann", "mail")] if matches else [])


SEVERAL = """
@workflow("welcome", on="user/joined", to=lambda event: event.data["user"])
async def welcome(n: Notification[dict[str, Any]]) -> None:
    found = await n.all(
        n.wait_for_event("a", "did/a", match="user", hours=1),
        n.wait_for_event("b", "did/b", match="user", hours=2),
        n.sleep("least", minutes=30),
    )
    calls.append([one and one.data["n"] for one in found[:2]])
"""


def test_several_waits_at_once_are_over_when_the_last_of_them_is(world: World) -> None:
    world.workflow(SEVERAL)
    happen(world, "user/joined", user="ann")
    world.settle()
    world.advance(minutes=10)
    happen(world, "did/b", user="ann", n=1)
    world.settle()
    world.advance(minutes=5)
    happen(world, "did/a", user="ann", n=2)
    world.settle()
    assert world.module().calls == []

    world.advance(minutes=15)
    assert world.module().calls == [[2, 1]]


def test_each_of_several_has_a_time_of_its_own(world: World) -> None:
    world.workflow(SEVERAL)
    happen(world, "user/joined", user="ann")
    world.settle()
    world.advance(minutes=61)
    happen(world, "did/a", user="ann", n=1)
    world.settle()
    world.advance(minutes=58)
    assert world.module().calls == []

    world.advance(minutes=1)
    assert world.module().calls == [[None, None]]


AFTER_EACH_OTHER = """
@workflow("welcome", on="user/joined", to=lambda event: event.data["user"])
async def welcome(n: Notification[dict[str, Any]]) -> None:
    first = await n.wait_for_event("first", "did/a", match="user", hours=1)
    second = await n.wait_for_event("second", "did/a", match="user", hours=1)
    calls.append([one and one.data["n"] for one in (first, second)])
"""


@pytest.mark.parametrize("stored", [False, True])
def test_two_waits_after_each_other_get_an_event_each(world: World, stored: bool) -> None:
    world.workflow(AFTER_EACH_OTHER)
    world.advance(minutes=10)
    for minute, name in enumerate(("user/joined", "did/a", "did/a")):
        happen(world, name, minute, user="ann", n=minute)
        if not stored:
            world.settle()
            assert world.module().calls == ([[1, 2]] if minute == 2 else [])
    world.settle()

    assert world.module().calls == [[1, 2]]


def test_cancelling_ends_the_wait_and_nothing_is_expected_any_more(world: World) -> None:
    waiting(world)
    joined = happen(world, "user/joined", user="ann")
    world.settle()

    assert world.notify.cancel(joined) == 1
    happen(world, "user/verified", user="ann", how="mail")
    world.advance(hours=2)
    assert world.module().calls == []
    assert expected(world) == 0


async def settled_by(engines: list[Engine]) -> None:
    """Two processes at work side by side."""
    await asyncio.gather(*(local.settle(engine) for engine in engines))


@pytest.mark.parametrize("event_first", [True, False])
def test_an_event_that_is_matched_while_the_wait_begins_is_never_missed(world: World, event_first: bool) -> None:
    """Two processes: one drives the notification to its wait, the other matches the event."""
    waiting(world)
    engines = [world.engine, world.another()]
    for number in range(20):
        world.people(f"p{number}")
        happen(world, "user/joined", user=f"p{number}")
        if event_first:
            happen(world, "user/verified", user=f"p{number}", how="mail")
        asyncio.run(settled_by(engines))
        if not event_first:
            happen(world, "user/verified", user=f"p{number}", how="mail")
            asyncio.run(settled_by(engines))
    world.settle()

    assert sorted(world.module().calls) == sorted((f"p{number}", "mail") for number in range(20))


@on_one_database
@pytest.mark.parametrize(
    ("match", "timeout", "problem"),
    [
        ("event.data.user ==", "hours=1", "match"),
        ("user", "timeout='soon'", "timeout"),
        ("user", "", "timeout"),
    ],
)
def test_a_wait_that_cannot_be_is_refused_by_its_name(world: World, match: str, timeout: str, problem: str) -> None:
    source = WAIT.format(match=match, timeout=f"**dict({timeout})")
    world.workflow(source.replace('("welcome",', '("welcome", retries=0,'))
    happen(world, "user/joined", user="ann")
    world.settle()

    [row] = world.notifications()
    assert row.status == "failed"
    assert f"wait_for_event('verified').{problem}" in row.error["message"]


def test_of_many_stored_events_only_those_are_read_that_can_match(world: World) -> None:
    waiting(world)
    for number in range(50):
        happen(world, "user/verified", user=f"p{number}", how="other")
    happen(world, "user/verified", user="ann", how="mine")
    world.settle()
    happen(world, "user/joined", 0, user="ann")
    with world.notify.database.read() as connection:
        [found] = events.since(connection, "default", "user/verified", START, START, ("data.user", ["ann", "p7"]))
    world.settle()

    assert [event.data["user"] for event in found] == ["p7", "ann"]
    assert world.module().calls == [("ann", "mine")]


def test_numbers_match_numbers_and_not_texts(world: World) -> None:
    waiting(world, "number")
    happen(world, "user/joined", user="ann", number=1)
    happen(world, "user/joined", user="bob", number="1")
    happen(world, "user/verified", number=1.0, how="a number")
    world.settle()

    assert world.module().calls == [("ann", "a number")]
