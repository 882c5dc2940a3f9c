"""The three steps of a notification as a peer takes them: the same templates, letters and calls as notify's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import aiohttp
import orjson
from psycopg_pool import AsyncConnectionPool

from notify.channels import mail, sendgrid
from notify.model import Channel, Content, Dispatch, Subscriber
from notify.rendering.templates import Templates
from notify.settings import Settings
from tests.benchmarks import peer_rows
from tests.benchmarks.worker import ROOT

WORKFLOW, STEP = "task-assigned", "assigned"
DATABASE, SINK = "PEER_DATABASE_URL", "PEER_SINK_URL"
_JOBS = UUID("6f1e1a52-0c1f-4f0e-9a43-3d1f0d5f7f11")


def message_id(job: str, channel: str) -> UUID:
    """The same for a step that is taken again."""
    return uuid5(_JOBS, f"{job}/{channel}")


class Writer:
    """Fills in templates and letters."""

    def __init__(self) -> None:
        settings = Settings.from_env({})
        self._templates = Templates([ROOT / "flows" / "templates"], {"app_url": settings.app_url})
        self._templates.check(WORKFLOW)
        self._sender = mail.Sender.of(settings)

    def content(self, channel: Channel, person: Subscriber, payload: Mapping[str, Any]) -> Content:
        """The message for one person."""
        template = self._templates.find(WORKFLOW, STEP, channel, person.locale)
        return template.render({"subscriber": person, "payload": payload, "workflow": WORKFLOW})

    def letter(self, id_: UUID, address: str, content: Content, person: str) -> bytes:
        """The body of a call to the provider."""
        dispatch = Dispatch(str(id_), Channel.EMAIL, address, content, WORKFLOW, person)
        return orjson.dumps(sendgrid.payload(mail.read(dispatch, "sendgrid"), self._sender))


class Channels:
    """One step a channel, with a pool of connections and a client: for the length of an `async with` block."""

    def __init__(self, in_flight: int) -> None:
        self.in_flight = in_flight
        self.writer = Writer()

    async def __aenter__(self) -> Channels:
        most = self.in_flight
        self.rows = AsyncConnectionPool(os.environ[DATABASE], max_size=most, kwargs={"autocommit": True}, open=False)
        await self.rows.open(wait=True)
        self.client = client(self.in_flight)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()
        await self.rows.close()

    async def in_app(self, job: str, person: str, payload: Mapping[str, Any]) -> str:
        """Render and write."""
        async with self.rows.connection() as connection:
            found, _ = await _person(connection, "in_app", person)
            content = self.writer.content(Channel.IN_APP, found, payload)
            now = datetime.now(UTC)
            await connection.execute(
                peer_rows.WRITTEN, _message(job, "in_app", person, "delivered", None, content, now)
            )
        return "delivered"

    async def push(self, job: str, person: str) -> str:
        """Nobody has a device."""
        async with self.rows.connection() as connection:
            await _person(connection, "push", person)
            await connection.execute(peer_rows.WRITTEN, _message(job, "push", person, "skipped", "no_address"))
        return "skipped"

    async def email(self, job: str, person: str, payload: Mapping[str, Any]) -> str:
        """Render, commit the attempt, call, record the answer; or record that it is not wanted."""
        async with self.rows.connection() as connection:
            found, wanted = await _person(connection, "email", person)
            if not wanted:
                await connection.execute(peer_rows.WRITTEN, _message(job, "email", person, "skipped", "preference"))
                return "skipped"
            assert found.email is not None
            content = self.writer.content(Channel.EMAIL, found, payload)
            id_ = message_id(job, "email")
            row = _message(job, "email", person, "queued", None, content) | {"address": found.email}
            await connection.execute(peer_rows.ABOUT_TO_CALL, row)
        provider = await post(self.client, self.writer.letter(id_, found.email, content, person))
        async with self.rows.connection() as connection:
            await connection.execute(peer_rows.ANSWERED, {"id": id_, "provider": provider})
        return "sent"


def client(in_flight: int) -> aiohttp.ClientSession:
    """As many connections as calls in flight."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=in_flight))


async def post(session: aiohttp.ClientSession, letter: bytes) -> str:
    """One call; returns the provider's id of the message."""
    headers = {"Content-Type": "application/json", "Authorization": "Bearer x"}
    async with session.post(f"{os.environ[SINK]}/v3/mail/send", data=letter, headers=headers) as answer:
        if answer.status != 202:
            raise RuntimeError(f"the sink answered {answer.status}")
        return answer.headers["X-Message-Id"]


async def _person(connection: Any, channel: str, person: str) -> tuple[Subscriber, bool]:
    row = await (await connection.execute(peer_rows.PERSON, [channel, person])).fetchone()
    return Subscriber(row[0], email=row[1], first_name=row[2]), row[3]


def _message(
    job: str,
    channel: str,
    person: str,
    status: str,
    reason: str | None = None,
    content: Content | None = None,
    sent_at: datetime | None = None,
) -> dict[str, Any]:
    return {
        "id": message_id(job, channel),
        "person": person,
        "channel": channel,
        "status": status,
        "reason": reason,
        "content": peer_rows.json(asdict(content)) if content else None,
        "sent_at": sent_at,
    }
