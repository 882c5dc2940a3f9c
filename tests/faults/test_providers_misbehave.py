"""An e-mail provider in trouble: nobody's other channels are held, and what nobody can know is listed and settled."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from aiohttp import web

from notify.channels.sendgrid import SendGridProvider
from notify.engine import local
from notify.model import Channel
from notify.store import tables
from notify.store.audit import Audit, audit
from tests.eventually import eventually_sync
from tests.faults.sink import Mail, Sink, accept
from tests.world import START, World, migrated

A = tables.attempts.c
SOURCE = """
@workflow("again")
async def again(n: Notification[dict[str, Any]]) -> None:
    await n.all(n.in_app("note"), n.email("note"), n.push("note"))


@workflow("once", delivery="at_most_once")
async def once(n: Notification[dict[str, Any]]) -> None:
    await n.all(n.in_app("note"), n.email("note"), n.push("note"))
"""
TEMPLATES = [f"{workflow}/note.{channel}" for workflow in ("again", "once") for channel in ("in_app", "email", "push")]
OTHERS = {"in_app": "delivered", "push": "sent"}


class Post:
    """People, workflows, and a sink that stands for the e-mail provider."""

    def __init__(self, world: World, sink: Sink) -> None:
        self.world, self.sink = world, sink
        self.use(sink.url)

    def use(self, url: str, timeout: float = 0.5) -> None:
        settings = replace(self.world.settings, sendgrid_url=url, sendgrid_key="SG.key")
        providers: dict[Channel, Any] = self.world.providers
        providers[Channel.EMAIL] = SendGridProvider(settings, timeout=timeout)

    def settle(self) -> None:
        async def settled() -> None:
            await local.settle(self.world.engine)
            await self.world.providers[Channel.EMAIL].aclose()

        asyncio.run(settled())

    def statuses(self) -> dict[str, str]:
        return {row.channel: row.status for row in self.world.messages()}

    def email(self) -> Any:
        [row] = [row for row in self.world.messages() if row.channel == "email"]
        return row

    def outcomes(self) -> list[str | None]:
        of_email = sa.and_(A.message == self.email().id, A.environment == self.world.settings.environment)
        return [row.outcome for row in self.world.rows(sa.select(A.outcome).where(of_email).order_by(A.number))]

    def audit(self) -> Audit:
        listeners = self.world.engine.registry.listeners()
        with self.world.notify.database.read() as connection:
            return audit(connection, self.world.settings.environment, listeners, now=self.world.clock.at)


@pytest.fixture
def post(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Post]:
    with Sink() as sink, World(tmp_path, migrated(request, "sqlite")) as world:
        world.workflow(SOURCE, *TEMPLATES)
        world.people("ann")
        yield Post(world, sink)


async def never(_request: web.Request, _mail: Mail) -> web.StreamResponse:
    """Hangs for ever."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError


async def throttled(_request: web.Request, _mail: Mail) -> web.StreamResponse:
    return web.Response(status=429, headers={"Retry-After": "7"})


async def dropped(request: web.Request, mail: Mail) -> web.StreamResponse:
    """The message is taken, and the connection goes before anybody says so."""
    response = await accept(request, mail)
    assert request.transport is not None
    request.transport.abort()
    return response


async def noise(request: web.Request, _mail: Mail) -> web.StreamResponse:
    """Something that is no HTTP."""
    assert request.transport is not None
    request.transport.write(b"\x16\x03\x01 I am a coffee machine\r\n\r\n")  # type: ignore[attr-defined]
    request.transport.close()
    return web.Response()


async def strange(_request: web.Request, _mail: Mail) -> web.StreamResponse:
    """HTTP, but not from a mail service."""
    return web.Response(text="<html>Please log in to the hotel's network</html>", content_type="text/html")


#: What the provider does → what one call comes to, when it is tried again, and how often the sink accepts in all.
TROUBLES: dict[Callable[..., Awaitable[web.StreamResponse]], tuple[str, float, int]] = {
    never: ("unknown", 10, 1),
    throttled: ("retry", 7, 1),
    dropped: ("unknown", 10, 2),
    noise: ("unknown", 10, 1),
}


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.__name__)
def test_in_app_and_push_are_done_and_the_e_mail_is_tried_again(post: Post, trouble: Any) -> None:
    outcome, seconds, accepted = TROUBLES[trouble]
    post.sink.answer = trouble
    post.world.trigger("again", "ann")
    post.settle()
    first = post.statuses(), post.email().next_attempt_at

    post.sink.answer = accept
    post.world.clock.advance(timedelta(seconds=seconds))
    post.settle()

    assert first == ({**OTHERS, "email": "queued"}, START + timedelta(seconds=seconds))
    assert post.statuses() == {**OTHERS, "email": "sent"}
    assert post.outcomes() == [outcome, "accepted"]
    assert len(post.sink.accepted) == accepted
    found = post.audit()
    assert found.violations == []
    assert [one.kind for one in found.listings] == (["unknown_then_sent"] if outcome == "unknown" else [])


def test_a_provider_that_refuses_the_connection_is_tried_again(post: Post) -> None:
    post.use("http://127.0.0.1:1")
    post.world.trigger("once", "ann")
    post.settle()
    first = post.statuses()

    post.use(post.sink.url)
    post.world.clock.advance(timedelta(seconds=10))
    post.settle()

    assert first == {**OTHERS, "email": "queued"}
    assert (post.statuses(), post.outcomes()) == ({**OTHERS, "email": "sent"}, ["retry", "accepted"])
    assert post.audit().listings == []


@pytest.mark.parametrize("trouble", [never, dropped, noise], ids=lambda trouble: trouble.__name__)
def test_where_nothing_may_come_twice_the_unknown_is_the_end_and_is_listed(post: Post, trouble: Any) -> None:
    post.sink.answer = trouble
    post.world.trigger("once", "ann")
    post.settle()
    post.sink.answer = accept
    post.world.clock.advance(timedelta(days=1))
    post.settle()

    assert post.statuses() == {**OTHERS, "email": "unknown"}
    assert (post.outcomes(), len(post.sink.arrived)) == (["unknown"], 1)
    found = post.audit()
    assert found.violations == []
    assert [(one.kind, one.ids["message"]) for one in found.listings] == [("unknown", post.email().id)]


def test_an_answer_from_somebody_else_is_a_no_with_its_text(post: Post) -> None:
    post.sink.answer = strange
    post.world.trigger("again", "ann")
    post.settle()

    assert post.statuses() == {**OTHERS, "email": "failed"}
    assert "log in to the hotel's network" in post.email().error


def test_the_other_channels_are_done_while_the_provider_still_hangs(post: Post) -> None:
    """Not only in the end: the e-mail's call is under way all the time."""
    post.use(post.sink.url, timeout=120)
    gate, loops = asyncio.Event(), list[asyncio.AbstractEventLoop]()

    async def hangs(request: web.Request, mail: Mail) -> web.StreamResponse:
        loops.append(asyncio.get_running_loop())
        await gate.wait()
        return await accept(request, mail)

    post.sink.answer = hangs
    post.world.trigger("again", "ann")
    working = threading.Thread(target=post.settle)
    working.start()
    try:
        expected = {**OTHERS, "email": "queued"}
        eventually_sync(lambda: loops and post.statuses() == expected, "the other two are done")
        assert post.outcomes() == [None]
    finally:
        loops[0].call_soon_threadsafe(gate.set)
        working.join()

    assert post.statuses() == {**OTHERS, "email": "sent"}
