"""A mail server on loopback that treats a mail as its address says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP

from notify.channels.smtp import SmtpProvider
from notify.settings import Settings
from tests.contracts.providers_mails import Hang, Received, read_mime, settings


class SmtpWorld:
    """A mail server; `limit` mails to a connection, after which it says 421 and hangs up."""

    settings: Settings
    provider: SmtpProvider

    def __init__(self, *, limit: int | None = None) -> None:
        self.hang = Hang()
        self.sessions: list[SMTP] = []
        self.mails: list[bytes] = []
        self.recipients: list[str] = []
        self.limit = limit

    def received(self) -> list[Received]:
        return [read_mime(content) for content in self.mails]

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: Sequence[str]) -> str:
        session.mails = getattr(session, "mails", 0) + 1
        if self.limit and session.mails > self.limit:
            return "421 4.7.0 enough on this connection"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Sequence[str]) -> str:
        match address.partition("@")[0]:
            case "rejected":
                return "550 5.1.1 no such user"
            case "throttled":
                return "451 4.7.1 try later"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        match envelope.rcpt_tos[0].partition("@")[0]:
            case "hang":
                await self.hang.wait()
            case "drop":
                server.transport.abort()
        self.mails.append(envelope.content)
        self.recipients.extend(envelope.rcpt_tos)
        return "250 2.0.0 queued as 7"

    def hang_up(self) -> None:
        for session in self.sessions:
            if session.transport is not None:
                session.transport.close()


@asynccontextmanager
async def smtp_world(
    home: Path, *, limit: int | None = None, user: str = "", **options: Any
) -> AsyncIterator[SmtpWorld]:
    world = SmtpWorld(limit=limit)
    options = {"enable_SMTPUTF8": True, "hostname": "mail.test"} | options

    def session() -> SMTP:
        world.sessions.append(SMTP(world, **options))
        return world.sessions[-1]

    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    world.settings = settings(home, smtp_url=f"smtp://{user}localhost:{port}")
    world.provider = SmtpProvider(world.settings, concurrency=4)
    try:
        yield world
    finally:
        world.hang.release()
        await world.provider.aclose()
        server.close()
        world.hang_up()
