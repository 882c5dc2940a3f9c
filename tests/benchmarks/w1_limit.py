"""W1 by hand: SQL in bulk and HTTP, nothing general in it. What this machine could do.

`ask` does all of it in one process, its intake in one COPY. `ask_each` and `work` divide it as notify does: an
application whose every call is committed when it returns, and a worker that takes what came.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import orjson
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from notify.model import Channel, Subscriber
from tests.benchmarks import crowd
from tests.benchmarks.application import Asked, from_threads, serve
from tests.benchmarks.peer_channels import DATABASE, Writer, client, post

#: People planned, rendered and written together; calls in flight; seconds between looks at what came.
PAGE, IN_FLIGHT, LOOK = 250, 64, 0.005
_INTAKE = "COPY intake (person, payload) FROM STDIN"
_TAKEN = """
UPDATE intake SET taken_at = now() WHERE id IN (
    SELECT id FROM intake WHERE taken_at IS NULL ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
RETURNING person, payload"""
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

    async def take_in(self, people: Sequence[str]) -> None:
        """Everybody in one COPY."""
        async with self.rows.connection() as connection, connection.cursor() as cursor, cursor.copy(_INTAKE) as copy:
            for person in people:
                await copy.write_row((person, orjson.dumps(crowd.payload(person)).decode()))

    async def run(self) -> None:
        """Page after page until nothing is left; the calls of one run beside the planning of the next."""
        async with asyncio.TaskGroup() as calls:
            while letters := await self._page():
                calls.create_task(self._deliver(letters))

    async def _page(self) -> list[tuple[UUID, bytes]] | None:
        """Take, plan and write a page in one transaction; answers its letters, None when nothing was there."""
        async with self.rows.connection() as connection, connection.transaction():
            taken = await (await connection.execute(_TAKEN, [PAGE])).fetchall()
            if not taken:
                return None
            page = await self._plan(connection, dict(taken))
            await self._write(connection, page)
        return page.letters

    async def _plan(self, connection: AsyncConnection, payloads: Mapping[str, Any]) -> Page:
        found = await (await connection.execute(_PEOPLE, [list(payloads)])).fetchall()
        page = Page([], [])
        for id_, email, first_name, wanted in found:
            person = Subscriber(id_, email=email, first_name=first_name)
            self._person(page, person, payloads[id_], wanted=wanted)
        return page

    def _person(self, page: Page, person: Subscriber, payload: Mapping[str, Any], *, wanted: bool) -> None:
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
        async with connection.cursor() as cursor:
            async with cursor.copy(_MESSAGES) as copy:
                for row in page.rows:
                    await copy.write_row(row)
            await cursor.execute(_ATTEMPTS, [[id_ for id_, _ in page.letters]])

    async def _deliver(self, letters: Sequence[tuple[UUID, bytes]]) -> None:
        ids = [id_ for id_, _ in letters]
        answers = await asyncio.gather(*(self._call(letter) for _, letter in letters))
        async with self.rows.connection() as connection:
            await connection.execute(_ANSWERED, [ids, answers])

    async def _call(self, letter: bytes) -> str:
        async with self.gate:
            return await post(self.session, letter)


@asynccontextmanager
async def _pipeline() -> AsyncGenerator[Pipeline]:
    pool: AsyncConnectionPool = AsyncConnectionPool(
        os.environ[DATABASE], min_size=4, kwargs={"autocommit": True}, open=False
    )
    async with pool, client(IN_FLIGHT) as session:
        await pool.wait()
        yield Pipeline(Writer(), pool, session)


async def _all(people: list[str]) -> list[Asked]:
    """Pool, client and templates are ready before the clock starts."""
    async with _pipeline() as pipeline:
        began = monotonic()
        await pipeline.take_in(people)
        await pipeline.run()
        return [Asked(person, began, monotonic()) for person in people]


def ask() -> None:
    """The application that does it all."""
    serve(lambda people, _: asyncio.run(_all(people)))


def ask_each() -> None:
    """The application that only asks: an INSERT and its commit a person."""
    with ConnectionPool(os.environ[DATABASE], min_size=4, max_size=8, kwargs={"autocommit": True}) as pool:

        def insert(person: str) -> None:
            with pool.connection() as connection:
                row = (person, orjson.dumps(crowd.payload(person)).decode())
                connection.execute("INSERT INTO intake (person, payload) VALUES (%s, %s)", row)

        serve(from_threads(insert))


def work() -> None:
    """The worker beside it."""
    asyncio.run(_work())


async def _work() -> None:
    async with _pipeline() as pipeline:
        print("ready", flush=True)
        asked_to_end = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
        while not asked_to_end.done():
            await pipeline.run()
            await asyncio.wait([asked_to_end], timeout=LOOK)
