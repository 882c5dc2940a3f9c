"""A workflow of each kind of step, to be written, changed while somebody waits, and looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from notify.store.tables import events
from tests.world import World

#: What people wait in when the workflow changes: each takes ten hours.
WAITS = {
    "sleep": 'await n.sleep("wait", hours=10)',
    "digest": 'await n.digest("wait", hours=10)',
    "wait_for_event": 'await n.wait_for_event("wait", "it/came", hours=10)',
}
#: A step of each kind under the key `x`; those that wait do so for five hours at most.
KINDS = {
    "email": 'await n.email("x")',
    "run": 'await n.run("x", made)',
    "emit": 'await n.emit("it/emitted", {}, key="x")',
    "trigger": 'await n.trigger("other", to="bob", key="x")',
    "sleep": 'await n.sleep("x", hours=5)',
    "sleep-until": 'await n.sleep_until("x", every="hour", past=30)',
    "delay": 'await n.delay("x", "5h")',
    "wait-for-event": 'await n.wait_for_event("x", "it/never", hours=5)',
    "digest": 'await n.digest("x", hours=5)',
    "digest-unless": 'await n.digest("x", hours=5, unless=no_reason)',
    "is-read": 'await n.is_read(n.payload.get("about", "hello"), at="x")',
    "is-seen": 'await n.is_seen(n.payload.get("about", "hello"), at="x")',
    "is-online": 'await n.is_online(at="x")',
    "throttle": 'await n.throttle("x", hours=5)',
}
WAITING = {"sleep", "sleep-until", "delay", "wait-for-event", "digest", "digest-unless"}
#: What each answers when it is done, and when it is new code in the past.
DONE = {
    "email": "queued",
    "run": "made 1",
    "emit": "uid",
    "trigger": "uid",
    "sleep": True,
    "sleep-until": True,
    "delay": True,
    "wait-for-event": None,
    "digest": ["ann"],
    "digest-unless": ["ann"],
    "is-read": False,
    "is-seen": False,
    "is-online": False,
    "throttle": None,
}
PAST = DONE | {"email": "added_after_start"}

_HEAD = """
from notify.steps import Burst, Decision

runs: list[int] = []

def made() -> str:
    runs.append(1)
    return f"made {len(runs)}"

def no_reason(one: Any) -> None:
    return None

def see(kind: str, value: Any) -> None:
    if isinstance(value, Burst):
        value = [one.payload["who"] for one in value.events]
    elif isinstance(value, Decision):
        value = value.reason or value.status.value
    calls.append((kind, "uid" if isinstance(value, str) and len(value) == 36 else value))

@workflow("other")
async def other(n: Notification[Any]) -> None:
    return n.skip("not about this")
"""
_FLOW = """
@workflow("{kind}", on="it/happened", to=lambda event: event.data["who"], retries=0)
async def flow(n: Notification[dict[str, Any]]) -> None:
{body}
"""
TEMPLATES = [f"{kind}/{step}.email" for kind in KINDS for step in ("x", "hello")]


def _flow(kind: str, *lines: str) -> str:
    body = "".join(f"    {line}\n" for line in (*lines, 'await n.email("hello")'))
    return _FLOW.format(kind=kind, body=body)


def write(world: World, kind: str, *lines: str) -> None:
    """The workflow of one kind, with these lines and a last message."""
    world.workflow(_HEAD + _flow(kind, *lines), *TEMPLATES)


def write_all(world: World, *lines: str, kinds: Mapping[str, str] = KINDS) -> None:
    """One workflow a kind; STEP stands for its step."""
    flows = [
        _flow(kind, *(one.replace("STEP", f"see({kind!r}, {step})") for one in lines)) for kind, step in kinds.items()
    ]
    world.workflow(_HEAD + "".join(flows), *TEMPLATES)


def begin(world: World, hours: int = 0) -> None:
    """Everybody begins, and waits after so many hours."""
    world.emit("it/happened", {"who": "ann"})
    world.settle()
    world.advance(hours=hours)
    assert {status for status, _ in ended(world).values()} == {"waiting"}


def seen(world: World) -> dict[str, list[Any]]:
    """What each workflow's step answered since the workflows were written."""
    return {kind: [value for of, value in world.module().calls if of == kind] for kind in KINDS}


def ended(world: World) -> dict[str, tuple[str, str | None]]:
    """Where the notification of each kind stands."""
    return {row.workflow: (row.status, row.reason) for row in world.notifications() if row.workflow != "other"}


def greeted(world: World) -> set[str]:
    """The kinds whose last message was sent."""
    return {row.workflow for row in world.messages() if (row.step, row.status) == ("hello.email", "sent")}


def stored(world: World) -> list[str]:
    """The names of the events and triggers there are, less the first event."""
    return sorted(name for (name,) in world.rows(sa.select(events.c.name)) if name != "it/happened")
