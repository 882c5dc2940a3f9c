"""What the load of the fault runs asks for: waits and digests of seconds, so that they cross a kill."""

from __future__ import annotations

from typing import Any

from notify.model import Event
from notify.workflow import Notification, workflow

Data = dict[str, Any]


def whom(event: Event) -> str:
    """The person an event names."""
    return event.data["to"]


async def look(place: str) -> str:
    """Something that is looked up."""
    return f"seen {place}"


@workflow("told")
async def told(n: Notification[Data]) -> None:
    """Two channels at once."""
    await n.all(n.in_app("note"), n.email("note"))


@workflow("reminded")
async def reminded(n: Notification[Data]) -> None:
    """A wait that may be called off."""
    await n.sleep("nap", seconds=4)
    await n.email("note")


@workflow("fetched", on="load/asked", to=whom)
async def fetched(n: Notification[Data]) -> None:
    """A step of the author's own."""
    seen = await n.run("look", look, n.payload["place"])
    await n.email("note", seen=seen)


@workflow("gathered", on="load/said", to=whom)
async def gathered(n: Notification[Data]) -> None:
    """A burst."""
    burst = await n.digest("burst", seconds=3)
    await n.all(n.in_app("note", burst=burst), n.email("note", burst=burst))


@workflow("code", delivery="at_most_once")
async def code(n: Notification[Data]) -> None:
    """What may not come twice."""
    await n.email("note")
