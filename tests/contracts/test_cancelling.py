"""What cancelling reaches, and how many it says there were, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from notify.cancelling import CancelOn
from notify.errors import InvalidInput
from notify.model import Channel, Outcome, OutcomeKind
from tests.world import START, World, migrated, on_one_database

SOURCE = """
@workflow("sleeps")
async def sleeps(n: Notification[dict[str, Any]]) -> None:
    await n.sleep("rest", hours=1)

@workflow("collects")
async def collects(n: Notification[dict[str, Any]]) -> None:
    await n.digest("some", hours=1)

@workflow("writes", on="paper/written", to=lambda event: event.data["to"], cancel_on={rule})
async def writes(n: Notification[dict[str, Any]]) -> None:
    await n.email("hello")
"""
BY_KEY = 'CancelOn("paper/burnt", "id", "burnt")'


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        made.people("ann", "bob")
        yield made


def refusing(world: World, kind: OutcomeKind) -> None:
    """The provider takes nothing: its messages wait to be tried again."""
    world.providers[Channel.EMAIL].script = lambda _: Outcome(kind, detail="not now")


def write(world: World, **data: Any) -> str:
    receipt = world.emit("paper/written", {"to": "ann", "id": 1} | data)
    world.settle()
    return receipt.transaction_id


def statuses(world: World) -> list[tuple[str, str | None]]:
    return [(row.status, row.reason) for row in world.messages()]


def test_it_says_how_many_of_what_it_cancelled(world: World) -> None:
    world.workflow(SOURCE.format(rule=BY_KEY), "writes/hello.email")
    refusing(world, OutcomeKind.RETRY)
    sleeping = world.trigger("sleeps", ["ann", "bob"], {}).transaction_id
    collecting = world.trigger("collects", "ann", {}).transaction_id
    ahead = world.trigger("sleeps", "ann", {}, at=START + timedelta(days=1)).transaction_id
    writing = write(world)

    assert str(world.notify.cancel(sleeping)) == "2 cancelled: 2 waiting"
    assert str(world.notify.cancel(collecting)) == "1 cancelled: 1 collecting in a digest"
    assert str(world.notify.cancel(writing)) == "1 cancelled: 1 to be sent later"
    assert str(world.notify.cancel(ahead)) == "1 cancelled: 1 ahead"
    assert str(world.notify.cancel(writing)) == "0 cancelled"


def test_a_message_that_waits_to_be_tried_again_is_not_tried_again(world: World) -> None:
    world.workflow(SOURCE.format(rule=BY_KEY), "writes/hello.email")
    refusing(world, OutcomeKind.RETRY)
    writing = write(world)
    world.notify.cancel(writing, "no longer wanted")
    world.providers[Channel.EMAIL].script = None
    world.advance(days=1)

    assert statuses(world) == [("cancelled", "no longer wanted")]
    assert world.providers[Channel.EMAIL].accepted == []


def test_one_whose_call_nobody_can_tell_the_end_of_stays_unknown(world: World) -> None:
    world.workflow(SOURCE.format(rule=BY_KEY), "writes/hello.email")
    refusing(world, OutcomeKind.UNKNOWN)
    writing = write(world)

    assert world.notify.cancel(writing) == 1
    world.advance(days=1)
    assert statuses(world) == [("unknown", "cancelled")]
    assert len(world.providers[Channel.EMAIL].calls) == 1


@on_one_database
@pytest.mark.parametrize(
    ("rule", "burnt", "ends"),
    [
        (BY_KEY, {"id": 1}, True),
        (BY_KEY, {"id": 2}, False),
        ('CancelOn("paper/burnt", match="id", reason="burnt")', {"id": 1}, True),
        ('CancelOn("paper/burnt", match="event.data.id == async.data.paper", reason="burnt")', {"paper": 1}, True),
        ('CancelOn("paper/burnt", match="event.data.id == async.data.paper", reason="burnt")', {"id": 1}, False),
        ('CancelOn("paper/burnt", match="async.data.until > event.data.id", reason="burnt")', {"until": 5}, True),
        ('CancelOn("paper/burnt", match="async.data.until > event.data.id", reason="burnt")', {"until": 1}, False),
        ('CancelOn("paper/burnt", match="event.data.id == async.data.id && async.data.all", reason="burnt")',
         {"id": 1, "all": False}, False),
        ('CancelOn("paper/burnt", "id", lambda own, newer: "burnt" if newer.data["all"] else None)',
         {"id": 1, "all": False}, False),
    ],
)  # fmt: skip
def test_an_event_ends_queued_retries_of_what_it_matches(
    world: World, rule: str, burnt: dict[str, Any], ends: bool
) -> None:
    world.workflow(SOURCE.format(rule=rule), "writes/hello.email")
    refusing(world, OutcomeKind.RETRY)
    write(world)
    world.clock.advance(timedelta(seconds=1))
    world.emit("paper/burnt", burnt)
    world.settle()

    assert statuses(world) == ([("cancelled", "burnt")] if ends else [("queued", None)])


@pytest.mark.parametrize("given", [{}, {"key": "id", "match": "id"}, {"match": "event.data.id =="}])
def test_a_rule_that_cannot_say_which_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="cancel_on paper/burnt"):
        CancelOn("paper/burnt", **given)


def test_a_message_that_waits_for_the_hours_of_its_person_is_counted_beside_who_sleeps(world: World) -> None:
    world.workflow(
        """
        @workflow("both")
        async def both(n: Notification[dict[str, Any]]) -> None:
            await n.email("hello")
            await n.sleep("rest", hours=1)
        """,
        "both/hello.email",
    )
    world.notify.subscribers.schedule("ann", {"mon-fri": "22:00-23:00"})
    both = world.trigger("both", "ann", {}).transaction_id
    world.settle()
    assert statuses(world) == [("held", "quiet_hours")]

    said = world.notify.cancel(both)

    assert (said.waiting, said.messages, statuses(world)) == (1, 1, [("cancelled", "cancelled")])
