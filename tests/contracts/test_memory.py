"""What a step came to is what its body gets when it is run again, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.world import World, migrated


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        made.people("ann")
        yield made


@pytest.mark.parametrize("value", ["3", "1.5", "'3'", "True", "None", "[1]", "{'a': 1}"])
def test_a_result_is_remembered_as_it_was_whatever_its_kind(world: World, value: str) -> None:
    source = f"""
    def look() -> Any:
        return {value}

    @workflow("nap")
    async def nap(n: Notification[dict[str, Any]]) -> None:
        calls.append(await n.run("looked", look))
        await n.sleep("pause", hours=2)
    """
    world.workflow(source)
    world.trigger("nap", "ann")
    world.settle()
    world.advance(hours=2)

    first, second = world.module().calls
    assert (first, type(first)) == (second, type(second))
