"""Digests that are asked again when they are to be sent, and those that cannot be, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from notify.reports.why import why
from notify.store.tables import window_items
from tests.world import START, World, migrated, on_one_database

MODE = """
@workflow("burst", on="it/happened", to=lambda event: event.data["who"])
async def burst(n: Notification[dict[str, Any]]) -> None:
    found = await n.digest("some", key=n.payload.get("key", ""), {how})
    calls.append([one.payload["at"] for one in found.events])
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        made.people("ann", "bob")
        yield made


def happen(world: World, *minutes: float, **data: Any) -> list[str]:
    """Something happened so many minutes after the start, told in this order; answers the transaction ids."""
    return [
        world.emit("it/happened", {"who": "ann", "at": at} | data, ts=START + timedelta(minutes=at)).transaction_id
        for at in minutes
    ]


def live(world: World, *minutes: float) -> None:
    """The same, each at its instant."""
    for at in minutes:
        world.clock.at = START + timedelta(minutes=at)
        happen(world, at)
        world.settle()


def until(world: World, minutes: float) -> list[list[int]]:
    """What each closed window held by then, in the order in which they were told."""
    world.at(START + timedelta(minutes=minutes))
    return list(world.module().calls)


UNLESS = """
gone: set[int] = set()

{bulk}
def withdrawn({argument}):
    calls.append("asked")
    return {answer}

@workflow("burst", on="it/happened", to=lambda event: event.data["who"])
async def burst(n: Notification[dict[str, Any]]) -> None:
    found = await n.digest("some", minutes=15, unless=withdrawn)
    calls.append((n.subscriber.id, [one.payload["at"] for one in found.events], len(found.manifest["withdrawn"])))
    await n.in_app("hello")
"""
ONE = UNLESS.format(bulk="", argument="event", answer='"deleted" if event.payload["at"] in gone else None')
ALL = UNLESS.format(
    bulk="@bulk", argument="events", answer='["deleted" if one.payload["at"] in gone else None for one in events]'
)


@pytest.mark.parametrize(("source", "asked"), [(ONE, 4), (ALL, 1)], ids=["each", "all at once"])
def test_events_that_are_no_longer_true_leave_the_digest_with_their_reason(
    world: World, source: str, asked: int
) -> None:
    world.workflow(source, "burst/hello.in_app")
    happen(world, 0, 3, 5)
    happen(world, 4, who="bob")
    world.settle()
    world.module().gone.update({3})
    until(world, 20)

    calls = world.module().calls
    assert sorted(call for call in calls if call != "asked") == [("ann", [0, 5], 1), ("bob", [4], 0)]
    assert calls.count("asked") == asked
    carrier = next(row for row in world.notifications() if row.subscriber == "ann" and row.status == "completed")
    chain = why(carrier.id, database=world.notify.database, environment="default").chain
    told = "\n".join(f"{link.what}: {link.because}" for link in chain)
    assert "withdrawn: it/happened" in told
    assert "deleted" in told
    assert "it collects for 15 min from its first event" in told
    reasons = world.rows(sa.select(window_items.c.reason).where(window_items.c.reason.is_not(None)))
    assert [row.reason for row in reasons] == ["deleted"]


def test_where_nothing_is_left_nothing_is_sent_and_the_log_says_so(world: World) -> None:
    world.workflow(ALL, "burst/hello.in_app")
    happen(world, 0, 3)
    world.settle()
    world.module().gone.update({0, 3})
    until(world, 20)

    assert world.messages() == []
    assert next((row.status, row.reason) for row in world.notifications()) == ("completed", "digest_empty")
    assert world.module().calls == ["asked"]


def test_a_digest_beside_another_wait_is_refused(world: World) -> None:
    world.workflow("""
    @workflow("burst", on="it/happened", to=lambda event: event.data["who"], retries=0)
    async def burst(n: Notification[dict[str, Any]]) -> None:
        await n.all(n.digest("a", minutes=15), n.sleep("b", minutes=1))
    """)
    happen(world, 0)
    world.settle()

    [row] = world.notifications()
    assert row.status == "failed"
    assert "n.all(a, b): a digest beside another wait" in row.error["message"]


@on_one_database
@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ('debounce="15m"', "a quiet time and a maximum"),
        ('debounce="1h", max_wait="15m"', "max_wait: shorter"),
        ('debounce="1h", max_wait="2h", minutes=5', "debounce does not go with minutes"),
        ('at="09:00", minutes=5', "a calendar does not go with minutes"),
        ('at="09:00", capacity=5', "a calendar does not go with capacity"),
        ('cron="0 9 * * *", at="09:00"', "cron does not go with at"),
        ('at="09:00", timezone="Europe/Atlantis"', "no time zone is called"),
        ("minutes=15, capacity=0", "capacity"),
        ("months=1", "a window of months"),
        ("minutes=-1", "minutes"),
    ],
)
def test_a_digest_that_cannot_be_is_refused_with_a_remedy(world: World, how: str, problem: str) -> None:
    world.workflow(
        MODE.format(how=f"**dict({how})").replace('to=lambda event: event.data["who"]', 'to="ann", retries=0')
    )
    happen(world, 0)
    world.settle()

    [row] = world.notifications()
    assert row.status == "failed"
    assert problem in row.error["message"]
