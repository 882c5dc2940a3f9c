"""What tests of limits share: people with hours, workflows that send, and a process with limits."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from notify.model import Channel
from notify.store.tables import subscribers
from tests.world import World

#: START is a Thursday at noon: three hours after the opening of these, and six before their end.
OFFICE = {"mon-fri": "09:00-18:00"}
NIGHT = datetime(2026, 1, 15, 22, tzinfo=UTC)
OPENING = datetime(2026, 1, 16, 9, tzinfo=UTC)
HELLO = """
@workflow("hello"{options})
async def hello(n: Notification[dict[str, Any]]) -> None:
    told = await n.all(n.in_app("hi"), n.email("hi"), n.push("hi"))
    calls.append([(one.status.value, one.reason, one.until) for one in told])
    {rest}
"""
STEPS = ("hello/hi.in_app", "hello/hi.email", "hello/hi.push")
NEWS = """
@workflow("{id}"{options})
async def body(n: Notification[dict[str, Any]]) -> None:
    told = await n.email("hi")
    calls.append((told.status.value, told.reason, told.until))
    {rest}
"""


def limited(world: World, budget: str, **settings: str) -> None:
    """Start the process anew with these settings."""
    world.settings = replace(world.settings, budget=budget, **settings)
    world.restart()


def news(world: World, id: str = "news", options: str = "", rest: str = "") -> None:
    """A workflow that sends an e-mail and notes what was decided."""
    source = NEWS.format(id=id, options=options, rest=rest)
    world.workflow(source, f"{id}/hi.email", file=id.replace("-", "_"))


def tell(world: World, count: int = 1, workflow: str = "news", to: Any = "ann") -> None:
    """Trigger a workflow so often, then settle."""
    for _ in range(count):
        world.trigger(workflow, to)
    world.settle()


def found(world: World) -> list[tuple[str, str | None]]:
    """Status and reason of each message, by age."""
    return [(row.status, row.reason) for row in world.messages()]


def counted(world: World) -> Counter[tuple[str, str | None]]:
    """How many messages came to each status and reason."""
    return Counter(found(world))


def gone_out(world: World) -> int:
    """How many e-mails were accepted."""
    return len(world.providers[Channel.EMAIL].accepted)


def schedule(world: World, hours: Any, who: str = "ann") -> None:
    """Store hours as they are, good or bad."""
    with world.notify.database.write() as connection:
        connection.execute(sa.update(subscribers).where(subscribers.c.id == who).values(schedule=hours))


def hello(world: World, options: str = "", rest: str = "") -> None:
    """A workflow that tells on three channels and notes what was decided."""
    world.workflow(HELLO.format(options=options, rest=rest), *STEPS)


def by_channel(world: World) -> dict[str, tuple[str, str | None]]:
    """Status and reason of each of one person's messages."""
    return {row.channel: (row.status, row.reason) for row in world.messages()}


def email(world: World) -> Any:
    """The row of the one e-mail."""
    return next(row for row in world.messages() if row.channel == "email")


def decided(world: World) -> list[Any]:
    """What the last run of the body was answered."""
    return world.module().calls[-1]
