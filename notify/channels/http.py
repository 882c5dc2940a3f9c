"""JSON over HTTP to one address: httpx's transports without its client.

The client merges cookies, redirects, authentication and hooks into every request, which costs as much again as the
call itself; a provider's API wants none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httpx
import orjson

from notify.channels.base import PerLoop

_HEADERS = {"Accept": "application/json", "Content-Type": "application/json", "User-Agent": "notify"}


class Posts:
    """POSTs to `url`. One transport for each event loop is kept; errors are httpx's."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        transport: Callable[[], httpx.AsyncBaseTransport],
        timeout: httpx.Timeout,
    ) -> None:
        self._url = httpx.URL(url)
        self._headers = {**_HEADERS, **headers}
        self._extensions = {"timeout": timeout.as_dict()}
        self._transports = PerLoop(transport)

    async def post(self, page: Any) -> httpx.Response:
        """The answer, read to its end."""
        request = httpx.Request(
            "POST", self._url, headers=self._headers, content=orjson.dumps(page), extensions=self._extensions
        )
        response = await self._transports.current().handle_async_request(request)
        await response.aread()
        return response

    async def aclose(self) -> None:
        """Close the connections of the running loop."""
        if transport := self._transports.take():
            await transport.aclose()
