"""A workflow with a throttle, those who ask for it, and who passed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.world import START, World

LIMITED = """
@workflow("hello", critical={critical}, retries=0)
async def hello(n: Notification[dict[str, Any]]) -> None:
    calls.append(await n.throttle("limit", {limit}))
    await n.email("note")
"""


def limited(world: World, limit: str, *, critical: bool = False) -> None:
    world.workflow(LIMITED.format(limit=limit, critical=critical), "hello/note.email")


def say(world: World, *minutes: float, who: Any = "ann", **payload: Any) -> None:
    """The workflow is asked for so many minutes after the start."""
    for at in minutes:
        world.trigger("hello", who, payload, at=START + timedelta(minutes=at))


def passed(world: World) -> list[float]:
    """When those came who passed, in minutes after the start."""
    told = [row for row in world.notifications() if row.status == "completed" and row.reason is None]
    return [(row.ts - START) / timedelta(minutes=1) for row in told]
