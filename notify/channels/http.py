"""JSON over HTTP to one address, on aiohttp itself.

Delivery is the one place where the client library is most of the cost: httpx's request, response and client objects
take longer than the call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
from yarl import URL

from notify.channels.base import PerLoop

_HEADERS = {"Accept": "application/json", "Content-Type": "application/json", "User-Agent": "notify"}
#: Seconds an idle connection is kept.
_KEEP = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, read to its end. The names of `headers` are looked up in any case."""

    status: int
    headers: Mapping[str, str]
    text: str


class Posts:
    """POSTs to `url`, `connections` at once. One session for each event loop is kept; errors are aiohttp's.

    Redirects are not followed and cookies not kept: a provider's API wants neither. Connecting is given `connect`
    seconds; the whole call is its caller's to limit.
    """

    def __init__(self, url: str, headers: Mapping[str, str], *, connections: int, connect: float) -> None:
        self._url = URL(url)
        self._headers = {**_HEADERS, **headers}
        self._connections = connections
        self._timeout = aiohttp.ClientTimeout(connect=connect)
        self._sessions = PerLoop(self._session)

    async def post(self, page: Any) -> Answer:
        """The answer, read to its end."""
        session = self._sessions.current()
        async with session.post(self._url, data=orjson.dumps(page), allow_redirects=False) as response:
            text = (await response.read()).decode(errors="replace")
            return Answer(response.status, response.headers, text)

    async def aclose(self) -> None:
        """Close the connections of the running loop."""
        if session := self._sessions.take():
            await session.close()

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=_KEEP),
            headers=self._headers,
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
        )


def never_connected(problem: Exception) -> bool:
    """True when the error proves that nothing was sent."""
    return isinstance(problem, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
