"""Which Prefect server a process works with: the configured one, the one this home already runs, or a new one."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from notify.engine.server import EmbeddedServer
from notify.engine.session import use_prefect
from notify.errors import PrefectUnavailable
from notify.settings import Settings

log = logging.getLogger("notify.prefect")

#: Seconds a server may take to answer that it is well: one that is busy is slow, one that is gone refuses at once.
BUSY = 60.0
#: Seconds for somebody who goes on trying.
SOON = 10.0
#: Seconds until whoever waits is told what for.
SILENT = 3.0


@dataclass(frozen=True, slots=True)
class Host:
    """A Prefect server, and whether it answered when it was asked."""

    api_url: str
    #: True when it was started for this process and ends with it.
    embedded: bool
    answers: bool = True

    @property
    def ui_url(self) -> str:
        """Where a browser finds it."""
        return self.api_url.removesuffix("/api")


@asynccontextmanager
async def hosted(settings: Settings, port: int | None = None, *, patient: bool = False) -> AsyncGenerator[Host]:
    """A server for the length of the block; this process's Prefect client is pointed at it.

    A configured server that does not answer is PrefectUnavailable, except for somebody `patient`, who goes on trying.
    """
    known = settings.prefect_api_url or _running(settings.home)
    if known:
        answers = await _answers(known, SOON if patient else BUSY)
        if not answers and not patient:
            raise PrefectUnavailable(url=known, problem="no answer")
        use_prefect(known, settings.home)
        yield Host(known, embedded=False, answers=answers)
        return
    async with EmbeddedServer(settings.home, port) as server:
        use_prefect(server.api_url, settings.home)
        keeping = asyncio.create_task(server.keep())
        try:
            yield Host(server.api_url, embedded=True)
        finally:
            keeping.cancel()


def _running(home: Path) -> str | None:
    """The server another process of this home started, if it still answers."""
    try:
        url = json.loads((home / "prefect.json").read_text())["url"]
        with _saying_that_it_waits(url):
            well = httpx.get(f"{url}/health", timeout=httpx.Timeout(BUSY, connect=SOON)).is_success
        return url if well else None
    except (OSError, ValueError, KeyError, httpx.HTTPError):
        return None


async def _answers(url: str, within: float) -> bool:
    try:
        with _saying_that_it_waits(url):
            async with httpx.AsyncClient(timeout=httpx.Timeout(within, connect=SOON)) as client:
                return (await client.get(f"{url}/health")).is_success
    except httpx.HTTPError:
        return False


@contextmanager
def _saying_that_it_waits(url: str) -> Generator[None]:
    """Say, once, what is waited for: from a thread, because the caller may wait without a loop."""
    said = threading.Timer(SILENT, log.warning, ("waiting for the Prefect server at %s, which is slow to answer", url))
    said.daemon = True
    said.start()
    try:
        yield
    finally:
        said.cancel()
