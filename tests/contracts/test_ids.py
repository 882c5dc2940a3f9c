"""A subscriber's id is the application's own word: any characters it allows reach every statement as they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.world import World, migrated

AWKWARD = ('quo"te', "back\\slash", "co,mma", "{brace}", "nu\\\\ll", "NULL", "ä ö", "'single'")


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        yield made


def test_whoever_has_an_awkward_id_is_told(world: World) -> None:
    world.people(*AWKWARD)
    world.workflow(
        """
        @workflow("hello")
        async def hello(n: Notification[dict[str, Any]]) -> None:
            await n.email("hello")
        """,
        "hello/hello.email",
    )
    world.trigger("hello", list(AWKWARD))

    world.settle()

    sent = {message.subscriber: message.status for message in world.messages()}
    assert sent == dict.fromkeys(AWKWARD, "sent")
