"""Budgets on both databases: so many messages a person and no more, whatever the workflows and however many workers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from notify.engine import batch, match
from notify.engine.context import Engine
from notify.engine.work import Quietly, Tally
from notify.model import Channel
from notify.store import spending
from tests.contracts.limits_world import found, gone_out, limited, news, schedule, tell
from tests.world import START, World, migrated


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        made.people("ann")
        yield made


def after(**length: float) -> datetime:
    return START + timedelta(**length)


# --- deferring ----------------------------------------------------------------------------------


def test_what_is_over_the_budget_waits_until_there_is_room_and_the_oldest_goes_first(world: World) -> None:
    news(world)
    limited(world, "email: 2/hour")
    for minute in (0, 10, 20, 25, 30):
        world.clock.at = after(minutes=minute)
        tell(world)

    assert [status for status, _ in found(world)] == ["sent", "sent", "held", "held", "held"]
    assert found(world)[2] == ("held", "over_budget")
    assert world.module("news").calls[2] == ("held", "over_budget", after(hours=1))

    sent: dict[int, int] = {}
    for minute in (59, 60, 69, 70, 119, 120):
        world.at(after(minutes=minute))
        statuses = [status for status, _ in found(world)]
        sent[minute] = statuses.count("sent")
        assert statuses == ["sent"] * sent[minute] + ["held"] * (5 - sent[minute])
    assert sent == {59: 2, 60: 3, 69: 3, 70: 4, 119: 4, 120: 5}


def test_nobody_gets_more_when_much_was_deferred_and_the_worker_was_away(world: World) -> None:
    news(world)
    limited(world, "email: 3/hour")
    tell(world, 10)
    assert world.told() == {("news", "sent"): 3, ("news", "held"): 7}

    world.advance(days=1)
    assert world.told() == {("news", "sent"): 6, ("news", "held"): 4}
    world.advance(minutes=59)
    assert gone_out(world) == 6
    world.advance(minutes=1)
    assert gone_out(world) == 9


def test_what_waits_goes_before_what_is_new(world: World) -> None:
    news(world)
    limited(world, "email: 1/hour")
    tell(world, 2)

    world.clock.at = after(hours=1)
    tell(world)

    assert [status for status, _ in found(world)] == ["sent", "sent", "held"]


def test_several_messages_of_one_transaction_share_what_is_left(world: World) -> None:
    source = """
    @workflow("news")
    async def body(n: Notification[dict[str, Any]]) -> None:
        await n.all(n.email("hi"), n.email("there"), n.push("hi"))
    """
    world.workflow(source, "news/hi.email", "news/there.email", "news/hi.push")
    world.people("bob")
    limited(world, "email: 3/day, all: 4/day")
    for _ in range(2):
        world.trigger("news", ["ann", "bob"])
    world.settle()

    for person in ("ann", "bob"):
        mine = [(row.channel, row.status) for row in world.messages() if row.subscriber == person]
        assert (mine.count(("email", "sent")), mine.count(("push", "sent"))) in ((3, 1), (2, 2))
        assert len([one for one in mine if one[1] == "held"]) == 2


def test_the_budget_counts_what_went_out_before_it_was_set_and_only_what_went_out(world: World) -> None:
    news(world)
    silent = news_off(world)
    tell(world)
    tell(world, 5, silent)
    limited(world, "email: 2/day")
    tell(world, 2)

    assert world.told() == {("news", "sent"): 2, ("news", "held"): 1, (silent, "skipped"): 5}


def news_off(world: World) -> str:
    news(world, "silent", ', preferences={"email": False}')
    return "silent"


def test_a_message_held_for_the_night_counts_when_it_goes_out_and_once(world: World) -> None:
    news(world)
    limited(world, "email: 1/day")
    schedule(world, {"mon-sun": "13:00-14:00"})
    tell(world)
    assert found(world) == [("held", "quiet_hours")]

    world.at(after(hours=1))
    assert found(world) == [("sent", None)]

    # A day after it was made, but not after it went out; and what waits for room waits for the hours too.
    world.at(after(hours=24, minutes=70))
    tell(world)
    assert found(world)[1] == ("sent", None)
    world.clock.at = after(hours=25, minutes=20)
    tell(world)
    assert [row.next_attempt_at for row in world.messages()][2] == after(hours=49, minutes=10)


def test_a_held_message_that_was_let_go_is_counted_from_then(world: World) -> None:
    news(world)
    limited(world, "email: 1/hour")
    tell(world, 2)

    world.advance(hours=1)
    tell(world)

    assert gone_out(world) == 2
    assert world.messages()[-1].next_attempt_at == after(hours=2)


def test_a_message_that_was_let_go_before_there_was_a_budget_is_counted_from_then(world: World) -> None:
    news(world)
    schedule(world, {"mon-sun": "13:00-18:00"})
    tell(world)
    world.at(after(hours=1))

    limited(world, "email: 1/hour")
    world.clock.at = after(minutes=90)
    tell(world)

    assert found(world) == [("sent", None), ("held", "over_budget")]
    assert world.messages()[-1].next_attempt_at == after(hours=2)


# --- who is exempt ------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [", critical=True", ', priority="high"', ", unbudgeted=True"])
def test_what_is_exempt_goes_out_and_counts(world: World, options: str) -> None:
    news(world)
    news(world, "free", options)
    limited(world, "email: 2/hour")
    tell(world, 3, "free")
    tell(world)

    assert world.told() == {("free", "sent"): 3, ("news", "held"): 1}


def test_only_what_is_critical_is_exempt_where_that_is_said(world: World) -> None:
    news(world, "high", ', priority="high"')
    news(world, "critical", ', priority="critical"')
    limited(world, "email: 1/hour", budget_exempt="critical")
    tell(world, 2, "critical")
    tell(world, 1, "high")

    assert world.told() == {("critical", "sent"): 2, ("high", "held"): 1}


# --- many at once -------------------------------------------------------------------------------


def test_the_cap_holds_when_two_engines_decide_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # Where nobody keeps them from it, both have counted before either has written.
    both_counted, count = threading.Barrier(2, timeout=0.5), spending.spent

    def slowly(*args: Any, **options: Any) -> list[Any]:
        counted = count(*args, **options)
        with suppress(threading.BrokenBarrierError):
            both_counted.wait()
        return counted

    monkeypatch.setattr(spending, "spent", slowly)
    people = [f"p{place}" for place in range(20)]
    world.people(*people)
    for id_ in ("one", "two"):
        news(world, id_)
    limited(world, "email: 3/day")
    for _ in range(3):
        for id_ in ("one", "two"):
            world.trigger(id_, people)
    asyncio.run(match_all(world.engine))
    other = world.another()

    async def work(engine: Engine, workflow: str) -> None:
        while await batch.work(engine, engine.registry.workflow(workflow), Quietly(), Tally()):
            continue

    async def both() -> None:
        await asyncio.gather(work(world.engine, "one"), work(other, "two"))

    asyncio.run(both())
    world.settle()

    told = [len(world.providers[Channel.EMAIL].to(person)) for person in people]
    assert told == [3] * 20
    assert len([status for status, _ in found(world) if status == "held"]) == 60


async def match_all(engine: Engine) -> None:
    while await match.match_page(engine):
        continue
