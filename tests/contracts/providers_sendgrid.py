"""`POST /v3/mail/send` on loopback, treating a mail as its address says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from notify.channels.sendgrid import SendGridProvider
from tests.contracts.providers_mails import Hang, Received, settings


@dataclass
class Request:
    method: str
    path: str
    headers: Any
    page: dict[str, Any]


class SendGridWorld:
    """`POST /v3/mail/send` as SendGrid documents it."""

    provider: SendGridProvider

    def __init__(self) -> None:
        self.hang = Hang()
        self.requests: list[Request] = []
        self.peers: set[Any] = set()

    def received(self) -> list[Received]:
        return [_read_page(request.page) for request in self.requests]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        page = json.loads(await request.read())
        self.peers.add(request.transport and request.transport.get_extra_info("peername"))
        who = page["personalizations"][0]["to"][0]["email"].partition("@")[0]
        if who.startswith("status"):
            return web.Response(status=int(who.removeprefix("status")), text="what they said")
        match who:
            case "rejected":
                return web.json_response({"errors": [{"message": "no such user"}]}, status=400)
            case "throttled":
                return web.Response(status=429, headers={"Retry-After": "7"})
            case "broken":
                return web.Response(status=503, text="over capacity")
            case "hang":
                await self.hang.wait()
            case "drop":
                assert request.transport is not None
                request.transport.abort()
        self.requests.append(Request(request.method, request.path, request.headers.copy(), page))
        return web.Response(status=202, headers={"X-Message-Id": f"sg-{page['custom_args']['notify_message_id']}"})


def _read_page(page: dict[str, Any]) -> Received:
    parts = {part["type"]: part["value"] for part in page["content"]}
    return Received(
        id=page["custom_args"]["notify_message_id"],
        to=page["personalizations"][0]["to"][0]["email"],
        subject=page["subject"],
        text=parts.get("text/plain"),
        html=parts.get("text/html"),
        headers=page.get("headers", {}),
    )


@asynccontextmanager
async def sendgrid_world(home: Path) -> AsyncIterator[SendGridWorld]:
    world = SendGridWorld()
    app = web.Application()
    app.router.add_post("/v3/mail/send", world.handle)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    world.provider = SendGridProvider(settings(home, sendgrid_url=url), concurrency=4)
    try:
        yield world
    finally:
        world.hang.release()
        await world.provider.aclose()
        await runner.cleanup()
