"""A small load for crashes: its phases, what of it survives a process, and what it comes to in the end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from notify.engine import local, sweep
from notify.model import Channel, Dispatch, OutcomeKind
from notify.store import tables
from notify.store.audit import audit
from tests.world import START, World

SOURCE = """
from notify import clock
from notify.steps import Collected


async def look(minute: int) -> str:
    if clock.now() < datetime(2026, 1, 15, 12, minute, tzinfo=UTC):
        raise OSError("not there yet")
    return "seen"


@workflow("day", on="day/began", to=lambda event: event.data["to"])
async def day(n: Notification[dict[str, Any]]) -> None:
    seen = await n.run("look", look, 1)
    await n.all(n.in_app("note", seen=seen), n.email("note", seen=seen))
    await n.sleep("nap", hours=1)
    await n.emit("day/over", {"to": n.subscriber.id})


def no_longer(event: Collected) -> str | None:
    return None


@workflow("evening", on="day/over", to=lambda event: event.data["to"])
async def evening(n: Notification[dict[str, Any]]) -> None:
    burst = await n.digest("burst", minutes=15, unless=no_longer)
    await n.all(n.email("note", burst=burst), n.push("note", burst=burst))


@workflow("asks")
async def asks(n: Notification[dict[str, Any]]) -> None:
    await n.throttle("once", hours=5)
    over, _ = await n.all(
        n.wait_for_event("over", "day/over", match="to", hours=3), n.wait_for_event("rain", "rain/fell", minutes=70)
    )
    answer = await n.invoke("answers", {"asked": over.data["to"]})
    await n.push("note", answer=answer)


@workflow("answers")
async def answers(n: Notification[dict[str, Any]]) -> str:
    return n.payload["asked"]


@workflow("code", delivery="at_most_once")
async def code(n: Notification[dict[str, Any]]) -> None:
    await n.email("note")
"""
TEMPLATES = (
    "day/note.in_app",
    "day/note.email",
    "evening/note.email",
    "evening/note.push",
    "code/note.email",
    "asks/note.push",
)
CALLED_OFF = "called-off"
#: How far the clock goes before each phase.
PHASES = tuple(timedelta(minutes=minutes) for minutes in (0, 2, 10, 60, 20))


def prepare(world: World) -> None:
    """Store what is asked for: nobody has worked on it yet."""
    world.workflow(SOURCE, *TEMPLATES)
    world.people("ann", "bob")
    world.emit("day/began", {"to": ["ann", "bob"]})
    world.emit("day/began", {"to": ["ann"]})
    world.trigger("day", "cid", transaction_id=CALLED_OFF)
    world.trigger("code", "ann")
    for _ in range(2):
        world.trigger("asks", "bob", {"to": "bob"})


def play(world: World, phase: int, run: Callable[[Coroutine[Any, Any, Any]], Any] = asyncio.run) -> None:
    """One phase: the clock is set, the application may say something, and all that follows is done."""
    world.clock.at = START + sum(PHASES[: phase + 1], timedelta())
    if phase == 2:
        world.notify.cancel(CALLED_OFF)
    run(local.settle(world.engine))


def recover(world: World, phase: int) -> None:
    """What another process does some time later, from the phase in which the first was lost."""
    expire(world)
    world.clock.at = START + sum(PHASES[: phase + 1], timedelta())
    asyncio.run(sweep.sweep_rows(world.engine))
    for later in range(phase, len(PHASES)):
        play(world, later)


def expire(world: World) -> None:
    """Every lease of the lost process has run out."""
    past = datetime(2000, 1, 1, tzinfo=START.tzinfo)
    with world.notify.database.write() as connection:
        for table in (tables.notifications, tables.messages):
            connection.execute(table.update().where(table.c.lease_until.is_not(None)).values(lease_until=past))
        connection.execute(tables.leases.update().values(until=past))


@dataclass(frozen=True)
class End:
    """What it all came to, but for ids that are made up afresh."""

    rows: dict[str, list[tuple[Any, ...]]]
    messages: dict[str, tuple[Any, ...]]
    accepted: Counter[str]
    unknown: Counter[str]

    @staticmethod
    def of(world: World) -> End:
        n, s, w, i, m = (table.c for table in _COMPARED)
        told = sa.select(m.id, m.subscriber, m.channel, m.step, m.content, m.status, m.reason)
        lost = sa.select(tables.attempts.c.message).where(tables.attempts.c.outcome == OutcomeKind.UNKNOWN)
        queries = {
            "notifications": sa.select(n.id, n.workflow, n.subscriber, n.status, n.reason).order_by(n.id),
            "steps": sa.select(s.notification, s.key, s.kind, s.state, s.value).order_by(s.notification, s.key),
            "windows": sa.select(w.carrier, w.subscriber, w.state, w["items"], w.closes_at).order_by(w.carrier),
            "awaited": sa.select(tables.awaited.c.notification, tables.awaited.c.step),
            "throttles": sa.select(tables.throttles.c.key, tables.throttles.c["count"]),
            "items": sa.select(i.notification, i.step, i.event, i.withdrawn_at).order_by(i.notification),
        }
        return End(
            rows={name: [tuple(row) for row in world.rows(query)] for name, query in queries.items()},
            messages={row.id: tuple(row)[1:] for row in world.rows(told)},
            accepted=Counter(one.id for one in outside(world)),
            unknown=Counter(row.message for row in world.rows(lost)),
        )


_COMPARED = (tables.notifications, tables.steps, tables.windows, tables.window_items, tables.messages)


def outside(world: World) -> list[Dispatch]:
    """Everything the outside world has received."""
    return [one for provider in world.providers.values() for one in provider.accepted]


def differences(end: End, undisturbed: End) -> list[str]:
    """What is not as it would have been; a call that was under way may have been lost or made again."""
    found = [f"other {name}" for name, rows in undisturbed.rows.items() if end.rows[name] != rows]
    found += [f"message {id_} is missing" for id_ in undisturbed.messages.keys() - end.messages.keys()]
    for id_, message in end.messages.items():
        found += _message(id_, message, undisturbed.messages.get(id_, ()), end)
    return found


def _message(id_: str, message: tuple[Any, ...], expected: tuple[Any, ...], end: End) -> Iterator[str]:
    undecided = end.unknown[id_]
    if message != expected and not (undecided and message == (*expected[:-2], "unknown", "no_answer")):
        yield f"message {id_} is {message}, not {expected}"
    channel, sent = expected[1], end.accepted[id_]
    most = 0 if channel == Channel.IN_APP else undecided + (message[-2] == "sent")
    least = 0 if message[-2] != "sent" else 1
    if not least <= sent <= most:
        yield f"message {id_} ({message[-2]}) was accepted {sent} times"


def violations(world: World) -> list[str]:
    """What an audit has against the store."""
    listeners = world.engine.registry.listeners()
    with world.notify.database.read() as connection:
        found = audit(connection, world.settings.environment, listeners, now=world.clock.at)
    return [one.sentence for one in found.violations]
