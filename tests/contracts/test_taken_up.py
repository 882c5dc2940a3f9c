"""Taking up what failed, as a retried flow run does: what was done stays done, what failed is tried in its place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from notify.model import Channel
from notify.store import log, retries
from tests.world import World, migrated

SOURCE = """
calls: list[str] = []

async def look(who: str) -> int:
    calls.append(who)
    return 1

@workflow("shipped")
async def shipped(n: Notification[dict[str, Any]]) -> None:
    await n.email("note")
    await n.run("look", look, n.subscriber.id)
    await n.in_app("note")
"""
#: The flow run, which is also the id of its trigger.
RUN = "6f1d2c1e-9f0a-4c8e-8a55-0d3a3b8f7f10"
BROKEN = "{% block subject %}{{ payload.nobody_gave_it }}{% endblock %}{% block body %}.{% endblock %}"


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        made.workflow(SOURCE, "shipped/note.email", "shipped/note.in_app")
        made.people("ann")
        yield made


def _taken_up(world: World) -> None:
    with world.notify.database.write() as connection:
        [_] = retries.take_up(connection, "default", RUN)
    world.settle()


def _steps(world: World) -> list[tuple[str, str, str]]:
    [one] = world.notifications()
    with world.notify.database.read() as connection:
        return [(step.key, step.kind, step.state) for step in log.trace(connection, "default", one.id)]


def test_a_message_that_could_not_be_made_is_made_in_its_place_and_nothing_else_is_done_again(world: World) -> None:
    world.template("shipped/note.email", BROKEN)
    world.trigger("shipped", ["ann"], transaction_id=RUN)
    world.settle()
    assert world.statuses() == [("failed", "channel_failed")]
    assert ("note.email", "email", "failed") in _steps(world)
    assert world.module().calls == ["ann"]

    world.template("shipped/note.email", BROKEN.replace("nobody_gave_it", "a | default('Sent')"))
    _taken_up(world)

    assert world.statuses() == [("completed", None)]
    assert sorted((row.channel, row.status) for row in world.messages()) == [("email", "sent"), ("in_app", "delivered")]
    assert len(world.providers[Channel.EMAIL].to("ann")) == 1
    assert world.module().calls == []  # of the module as it was read anew with the template
    assert sorted(_steps(world)) == [
        ("look", "run", "completed"),
        ("note.email", "email", "completed"),
        ("note.in_app", "in_app", "completed"),
    ]


def test_while_the_cause_is_not_mended_it_fails_again_and_may_be_taken_up_again(world: World) -> None:
    world.template("shipped/note.email", BROKEN)
    world.trigger("shipped", ["ann"], transaction_id=RUN)
    world.settle()

    _taken_up(world)
    _taken_up(world)

    assert world.statuses() == [("failed", "channel_failed")]
    assert sorted((row.channel, row.reason) for row in world.messages()) == [
        ("email", "not_rendered"),
        ("in_app", None),
    ]
    assert world.module().calls == ["ann"]
