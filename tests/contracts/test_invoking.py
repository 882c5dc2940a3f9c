"""Calling another workflow and waiting for what it comes to, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from notify.store.tables import alarms, awaited, notifications
from tests.world import START, World, migrated

BOTH = """
@workflow("caller", retries=0)
async def caller(n: Notification[dict[str, Any]]) -> None:
    try:
        calls.append(await n.invoke("called", {{"of": n.payload["of"]}}, timeout="1d"{options}))
    except StepFailed as error:
        calls.append(str(error))

@workflow("called", retries=0)
async def called(n: Notification[dict[str, Any]]) -> Any:
    {body}
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        made.people("ann", "bob")
        yield made


def call(world: World, body: str, options: str = "") -> None:
    world.workflow(BOTH.format(body=body, options=options), "called/hello.email")
    world.trigger("caller", "ann", {"of": 20})
    world.trigger("caller", "bob", {"of": 21})
    world.settle()


def statuses(world: World) -> list[tuple[str, str, str]]:
    query = sa.select(notifications.c.workflow, notifications.c.subscriber, notifications.c.status)
    return sorted((row.workflow, row.subscriber, row.status) for row in world.rows(query))


def test_the_answer_is_what_the_body_returned_for_this_person(world: World) -> None:
    call(world, 'return {"who": n.subscriber.id, "twice": 2 * n.payload["of"]}')

    assert sorted(world.module().calls, key=str) == [{"who": "ann", "twice": 40}, {"who": "bob", "twice": 42}]
    assert {status for _, _, status in statuses(world)} == {"completed"}
    assert world.rows(sa.select(awaited.c.step)) == []


def test_it_may_take_its_time_and_nobody_is_called_twice(world: World) -> None:
    call(world, 'await n.sleep("rest", hours=3); await n.email("hello"); return n.payload["of"]')
    assert world.module().calls == []

    world.advance(hours=3)
    assert sorted(world.module().calls) == [20, 21]
    assert world.told() == {("called", "sent"): 2}


def test_it_may_be_for_somebody_else(world: World) -> None:
    call(world, "return n.subscriber.id", ', to="bob"')

    assert world.module().calls == ["bob", "bob"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('raise ValueError("no such thing")', "called failed: no such thing"),
        ("return object()", "called ended with"),
        ('await n.sleep("rest", days=2)', "did not end by"),
    ],
)
def test_one_that_fails_or_takes_too_long_fails_the_step_and_the_body_may_go_on(
    world: World, body: str, said: str
) -> None:
    call(world, body)
    world.advance(days=1)

    assert len(world.module().calls) == 2
    assert all(one.startswith("Step 'invoke:called' failed") and said in one for one in world.module().calls)
    assert ("caller", "ann", "completed") in statuses(world)


def test_one_that_is_cancelled_fails_the_step_at_once(world: World) -> None:
    call(world, 'await n.sleep("rest", hours=3)')
    query = sa.select(notifications.c.transaction_id).where(notifications.c.workflow == "called")
    for row in world.rows(query):
        world.notify.cancel(row.transaction_id)
    world.settle()

    assert world.module().calls == ["Step 'invoke:called' failed: what it called was cancelled"] * 2


def test_of_one_merged_into_a_digest_there_is_no_answer_and_of_the_one_that_carries_it_there_is(world: World) -> None:
    call(world, 'burst = await n.digest("few", minutes=15); return burst.total', ', to="bob"')
    world.advance(minutes=15)

    assert sorted(world.module().calls, key=str) == [2, None]


def test_what_cannot_be_called_fails_the_step(world: World) -> None:
    world.workflow("""
    @workflow("caller", retries=0)
    async def caller(n: Notification[dict[str, Any]]) -> None:
        await n.invoke("nobody")
    """)
    world.trigger("caller", "ann", {})
    world.settle()

    [row] = world.notifications()
    assert row.status == "failed"
    assert "nobody" in row.error["message"]


def test_who_waits_on_when_the_one_that_was_called_is_cancelled_has_an_alarm_for_that(world: World) -> None:
    world.workflow(
        BOTH.format(body='await n.sleep("rest", hours=3)', options="").replace(
            'calls.append(await n.invoke("called", {"of": n.payload["of"]}, timeout="1d"))',
            'await n.all(n.invoke("called", {}, timeout="1d"), n.sleep("least", hours=5))',
        )
    )
    world.trigger("caller", "ann", {"of": 20})
    world.settle()
    [called] = world.notifications("called")
    with world.notify.database.write() as connection:
        connection.execute(alarms.delete())

    assert world.notify.cancel(called.transaction_id) == 1

    assert {row.bucket for row in world.rows(sa.select(alarms.c.bucket))} == {START + timedelta(hours=5)}
    world.advance(hours=5)
    assert [str(said) for said in world.module().calls] == ["Step 'invoke:called' failed: what it called was cancelled"]
