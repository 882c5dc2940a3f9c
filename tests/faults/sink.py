"""The outside world: an HTTP server that takes e-mail as SendGrid does and remembers what it accepted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from tests.faults.machines import lapse

#: What the sink does with a message: a response, or any disturbance of the request.
Answer = Callable[[web.Request, "Mail"], Awaitable[web.StreamResponse]]


class Mail:
    """One message as it arrived."""

    def __init__(self, page: dict[str, Any]) -> None:
        self.id: str = page["custom_args"]["notify_message_id"]
        self.to: str = page["personalizations"][0]["to"][0]["email"]


async def accept(_request: web.Request, mail: Mail) -> web.StreamResponse:
    """202, as SendGrid says it."""
    return web.Response(status=202, headers={"X-Message-Id": f"sink-{mail.id}"})


class Sink:
    """Serves from a thread of its own for the length of a `with` block; a message counts as soon as it is taken."""

    def __init__(self, answer: Answer = accept, *, takes: float = 0.0) -> None:
        self.answer = answer
        #: Seconds between a message's arrival and its answer.
        self.takes = takes
        #: The ids of accepted messages, in order.
        self.accepted: list[str] = []
        #: Everything that arrived.
        self.arrived: list[Mail] = []
        self.port = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    @property
    def url(self) -> str:
        """What NOTIFY_SENDGRID_URL is to be."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Sink:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application()
        app.router.add_post("/v3/mail/send", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        self._ready.set()
        await self._over.wait()
        await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        mail = Mail(await request.json())
        self.arrived.append(mail)
        response = await self.answer(request, mail)
        if response.status == 202:
            self.accepted.append(mail.id)
        if self.takes:
            await lapse(self.takes)
        return response
