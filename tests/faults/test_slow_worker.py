"""A worker suspended past its lease and then continued: what it held was done by another, and it does nothing more."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa
from aiohttp import web

from notify.store import tables
from notify.store.types import database_now
from tests.eventually import eventually_sync
from tests.faults.lone import Lone
from tests.faults.sink import Mail, Sink, accept
from tests.world import migrated

N, M, A = tables.notifications.c, tables.messages.c, tables.attempts.c
#: The calls the SendGrid adapter makes at once.
WAVE = 64
PEOPLE = [f"person-{number}" for number in range(WAVE + 8)]
SOURCE = """
async def hold() -> str:
    with (HERE / "starts").open("a") as file:
        file.write("started\\n")
    if (HERE / "starts").read_text().count("started") == 1:
        await asyncio.to_thread(lambda: (HERE / "gate").open("rb", buffering=0).read(1))
    return "held"


@workflow("held")
async def held(n: Notification[dict[str, Any]]) -> None:
    await n.run("hold", hold)
    await n.all(n.in_app("note"), n.email("note"))


@workflow("again")
async def again(n: Notification[dict[str, Any]]) -> None:
    await n.email("note")


@workflow("once", delivery="at_most_once")
async def once(n: Notification[dict[str, Any]]) -> None:
    await n.email("note")
"""
TEMPLATES = ("held/note.in_app", "held/note.email", "again/note.email", "once/note.email")


class Holding:
    """Accepts, but lets the first calls, as many as are made at once, wait for their answer until they are released."""

    def __init__(self) -> None:
        self.waiting = 0
        self._gate: asyncio.Event | None = None

    async def __call__(self, request: web.Request, mail: Mail) -> web.StreamResponse:
        if self.waiting < WAVE:
            self.waiting += 1
            self._loop, self._gate = asyncio.get_running_loop(), self._gate or asyncio.Event()
            await self._gate.wait()
        return await accept(request, mail)

    def release(self) -> None:
        assert self._gate is not None
        self._loop.call_soon_threadsafe(self._gate.set)


def make(folder: Path, url: str, sink: Sink) -> Lone:
    lone = Lone(folder, url, sink.url)
    lone.workflow(SOURCE, *TEMPLATES)
    with lone.notify() as notify:
        notify.subscribers.save([{"subscriberId": one, "email": f"{one}@example.com"} for one in PEOPLE])
    return lone


def expired(lone: Lone, table: sa.Table) -> bool:
    """Whether every claim's lease has run out."""
    held = sa.select(table.c.lease_until < database_now()).where(table.c.claim.is_not(None))
    found = lone.rows(held)
    return bool(found) and all(over for (over,) in found)


def suspend_past_its_lease(lone: Lone, pid: int, table: sa.Table) -> None:
    os.kill(pid, signal.SIGSTOP)
    eventually_sync(lambda: expired(lone, table), "the lease runs out")


def let_it_finish(lone: Lone, pid: int, release: Callable[[], object]) -> None:
    """Continue the worker, release what it waits for, and wait until it finds nothing more to do."""
    before = lone.settled()
    os.kill(pid, signal.SIGCONT)
    release()
    eventually_sync(lambda: lone.settled() >= before + 2, "it has done what it takes for its own")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_it_decides_nothing_twice(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    with Sink() as sink, ExitStack() as stack:
        lone = make(tmp_path, migrated(request, kind), sink)
        os.mkfifo(lone.flows / "gate")
        # Open for both: whoever only writes would wait for a reader, and there may be none any more.
        gate = stack.enter_context(open(os.open(lone.flows / "gate", os.O_RDWR), "wb", buffering=0))
        with lone.notify() as notify:
            notify.trigger("held", to=PEOPLE[0])
        with lone.process() as worker:
            eventually_sync((lone.flows / "starts").exists, "the step begins")
            suspend_past_its_lease(lone, worker.pid, tables.notifications)
            lone.settle()
            everything = sa.select(N.id, N.status, N.finished_at, M.id, M.status, M.attempts, M.sent_at)
            by_another = lone.rows(everything.join(tables.messages, M.notification == N.id).order_by(M.id))
            let_it_finish(lone, worker.pid, lambda: gate.write(b"go on"))

        assert [(row[1], row[4]) for row in by_another if row[5]] == [("completed", "sent")]
        assert lone.rows(everything.join(tables.messages, M.notification == N.id).order_by(M.id)) == by_another
        assert len(sink.arrived) == 1
        assert lone.audit().violations == []


@pytest.mark.parametrize(("workflow", "arrivals"), [("again", 2), ("once", 1)])
def test_it_begins_no_call_whose_message_another_has_taken(
    request: pytest.FixtureRequest, tmp_path: Path, workflow: str, arrivals: int
) -> None:
    """As many calls as may be are under way: those are unknown. The others have not begun, and never begin."""
    holding = Holding()
    with Sink(holding) as sink:
        lone = make(tmp_path, migrated(request, "postgresql"), sink)
        with lone.notify() as notify:
            notify.trigger(workflow, to=PEOPLE)
        with lone.process() as worker:
            eventually_sync(lambda: holding.waiting == WAVE, "the calls are under way")
            suspend_past_its_lease(lone, worker.pid, tables.messages)
            under_way = {mail.id for mail in sink.arrived}
            lone.settle()
            let_it_finish(lone, worker.pid, holding.release)

        came = Counter(mail.id for mail in sink.arrived)
        unknown = {message for (message,) in lone.rows(sa.select(A.message).where(A.outcome == "unknown"))}
        assert unknown == under_way
        assert {came[id_] for id_ in under_way} == {arrivals}
        assert {came[id_] for id_ in came.keys() - under_way} == {1}
        assert (len(came), lone.audit().violations) == (len(PEOPLE), [])
