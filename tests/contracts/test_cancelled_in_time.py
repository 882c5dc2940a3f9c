"""Cancelling wins until the end is recorded: who was cancelled gets no letter."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from notify.engine.work import Quietly
from notify.model import Channel
from tests.world import World, migrated

T = TypeVar("T")


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        yield made


class _CancelsAfter(Quietly):
    """Whoever cancels when the e-mail has been decided and its notification has not ended."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def task(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        result = await work()
        if name.startswith("email"):
            assert await asyncio.to_thread(self.world.notify.cancel, "t-1") == 1
        return result


def test_who_is_cancelled_between_the_decision_and_the_end_gets_no_letter(world: World) -> None:
    world.workflow(
        '@workflow("note")\nasync def note(n: Notification[dict[str, Any]]) -> None:\n    await n.email("note")\n',
        "note/note.email",
    )
    world.people("ana")
    world.trigger("note", ["ana"], transaction_id="t-1")

    world.settle(_CancelsAfter(world))
    world.advance(hours=1)

    assert world.statuses("note") == [("cancelled", "cancelled")]
    assert [row.status for row in world.messages()] == ["cancelled"]
    assert world.providers[Channel.EMAIL].to("ana") == []
