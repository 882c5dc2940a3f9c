"""W1 by hand: SQL in bulk and HTTP from one process, nothing general in it. What this machine could do."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import orjson
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from notify.model import Channel, Subscriber
from tests.benchmarks import crowd
from tests.benchmarks.application import Asked, serve
from tests.benchmarks.peer_channels import DATABASE, Writer, client, post

#: People planned, rendered and written together; calls in flight.
PAGE, IN_FLIGHT = 250, 64
_INTAKE = "COPY intake (person, payload) FROM STDIN"
_PEOPLE = """
SELECT p.id, p.email, p.first_name, coalesce(c.enabled, true)
FROM people p LEFT JOIN choices c ON c.person = p.id AND c.channel = 'email' WHERE p.id = ANY(%s)"""
_MESSAGES = "COPY messages (id, person, channel, status, reason, content, address) FROM STDIN"
_ATTEMPTS = "INSERT INTO attempts (message, number) SELECT unnest(%s::uuid[]), 1"
_ANSWERED = """
WITH answers AS (SELECT * FROM unnest(%s::uuid[], %s::text[]) AS t (id, provider)),
     a AS (UPDATE attempts SET finished_at = now(), outcome = 'accepted', provider_message_id = answers.provider
           FROM answers WHERE message = answers.id AND number = 1)
UPDATE messages SET status = 'sent', sent_at = now(), provider_message_id = answers.provider
FROM answers WHERE messages.id = answers.id"""


@dataclass(frozen=True, slots=True)
class Page:
    """What some people's notifications come to, before it is written."""

    rows: list[tuple[Any, ...]]
    letters: list[tuple[UUID, bytes]]


class Pipeline:
    """Intake, plan, render, write, call, record."""

    def __init__(self, writer: Writer, rows: AsyncConnectionPool, session: aiohttp.ClientSession) -> None:
        self.writer = writer
        self.rows = rows
        self.session = session
        self.gate = asyncio.Semaphore(IN_FLIGHT)

    async def run(self, people: Sequence[str]) -> None:
        """Pages one after the other; the calls of one run beside the planning of the next."""
        async with self.rows.connection() as connection:
            await self._take_in(connection, people)
        async with asyncio.TaskGroup() as calls:
            for some in _pages(people, PAGE):
                async with self.rows.connection() as connection:
                    page = await self._plan(connection, some)
                    await self._write(connection, page)
                calls.create_task(self._deliver(page))

    async def _take_in(self, connection: AsyncConnection, people: Sequence[str]) -> None:
        async with connection.cursor() as cursor, cursor.copy(_INTAKE) as copy:
            for person in people:
                await copy.write_row((person, orjson.dumps(crowd.payload(person)).decode()))

    async def _plan(self, connection: AsyncConnection, some: Sequence[str]) -> Page:
        found = await (await connection.execute(_PEOPLE, [list(some)])).fetchall()
        page = Page([], [])
        for id_, email, first_name, wanted in found:
            self._person(page, Subscriber(id_, email=email, first_name=first_name), wanted=wanted)
        return page

    def _person(self, page: Page, person: Subscriber, *, wanted: bool) -> None:
        payload = crowd.payload(person.id)
        shown = self.writer.content(Channel.IN_APP, person, payload)
        page.rows.append((uuid4(), person.id, "in_app", "delivered", None, orjson.dumps(asdict(shown)).decode(), None))
        page.rows.append((uuid4(), person.id, "push", "skipped", "no_address", None, None))
        if not wanted:
            page.rows.append((uuid4(), person.id, "email", "skipped", "preference", None, None))
            return
        id_, content = uuid4(), self.writer.content(Channel.EMAIL, person, payload)
        text = orjson.dumps(asdict(content)).decode()
        page.rows.append((id_, person.id, "email", "queued", None, text, person.email))
        page.letters.append((id_, self.writer.letter(id_, str(person.email), content, person.id)))

    async def _write(self, connection: AsyncConnection, page: Page) -> None:
        """Messages and attempts are committed before the calls."""
        async with connection.transaction(), connection.cursor() as cursor:
            async with cursor.copy(_MESSAGES) as copy:
                for row in page.rows:
                    await copy.write_row(row)
            await cursor.execute(_ATTEMPTS, [[id_ for id_, _ in page.letters]])

    async def _deliver(self, page: Page) -> None:
        ids = [id_ for id_, _ in page.letters]
        answers = await asyncio.gather(*(self._call(letter) for _, letter in page.letters))
        async with self.rows.connection() as connection:
            await connection.execute(_ANSWERED, [ids, answers])

    async def _call(self, letter: bytes) -> str:
        async with self.gate:
            return await post(self.session, letter)


def _pages(people: Sequence[str], size: int) -> list[Sequence[str]]:
    """Pages of so many."""
    return [people[start : start + size] for start in range(0, len(people), size)]


async def ask_all(people: list[str]) -> list[Asked]:
    """Everybody; pool and client are open before the clock starts."""
    pool = AsyncConnectionPool(os.environ[DATABASE], min_size=4, kwargs={"autocommit": True}, open=False)
    async with pool, client(IN_FLIGHT) as session:
        await pool.wait()
        writer, loop = Writer(), asyncio.get_running_loop()
        began = loop.time()
        await Pipeline(writer, pool, session).run(people)
        return [Asked(person, began, loop.time()) for person in people]


def ask() -> None:
    """The application."""
    serve(lambda people, _: asyncio.run(ask_all(people)))
