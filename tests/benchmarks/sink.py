"""A provider of e-mail that accepts everything: a process of its own that answers 202 and remembers when."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from typing import Any

HOST = "127.0.0.1"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ADDRESSEE = re.compile(rb'"to": ?\[\{"email": ?"([^"@]+)@')


@dataclass
class Arrivals:
    """What came since the last reset: whom each call was for, and the instant of its answer."""

    calls: list[tuple[str, float]] = field(default_factory=lambda: list[tuple[str, float]]())
    waiting: list[tuple[int, asyncio.Transport]] = field(default_factory=lambda: list[tuple[int, asyncio.Transport]]())

    def accept(self, body: bytes, transport: asyncio.Transport) -> None:
        """Answer 202, and whoever waits for this many."""
        person = _ADDRESSEE.search(body)
        number = len(self.calls)
        head = b"HTTP/1.1 202 Accepted\r\nX-Message-Id: %x\r\nContent-Length: 0\r\n\r\n" % number
        transport.write(head)
        self.calls.append((person[1].decode() if person else "?", time.monotonic()))
        if self.waiting:
            self.tell()

    def tell(self) -> None:
        """Answer those whose number is reached."""
        for wanted, transport in [one for one in self.waiting if one[0] <= len(self.calls)]:
            self.waiting.remove((wanted, transport))
            page = json.dumps(self.calls).encode()
            transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(page) + page)


class Connection(asyncio.Protocol):
    """As much of HTTP/1.1 as a client with keep-alive and a known length needs."""

    def __init__(self, arrivals: Arrivals) -> None:
        self.arrivals = arrivals
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self.buffer, 0, end)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self.buffer) < whole:
                return
            request, self.buffer = self.buffer[:whole], self.buffer[whole:]
            self.answer(request, request[end + 4 :])

    def answer(self, request: bytes, body: bytes) -> None:
        """`POST` is a letter; `GET /3` waits for three and tells all; `DELETE` forgets them."""
        if request.startswith(b"POST"):
            self.arrivals.accept(body, self.transport)
        elif request.startswith(b"DELETE"):
            self.arrivals.calls.clear()
            self.transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        else:
            self.arrivals.waiting.append((int(request.split(b" ", 2)[1].strip(b"/")), self.transport))
            self.arrivals.tell()


async def serve() -> None:
    """Serve on a port of the system's choosing, which is printed."""
    arrivals = Arrivals()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(arrivals), HOST, 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()


class Sink:
    """The process, for the length of a `with` block."""

    def __enter__(self) -> Sink:
        command = [sys.executable, "-m", __spec__.name]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = f"http://{HOST}:{int(self.process.stdout.readline())}"
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()

    def reset(self) -> None:
        """Forget what came."""
        self._ask("DELETE", "/", 10)

    def wait(self, count: int, within: float) -> list[tuple[str, float]]:
        """All that came, once there are `count`: addressee and monotonic instant each, in order."""
        return [(person, at) for person, at in json.loads(self._ask("GET", f"/{count}", within))]

    def _ask(self, method: str, path: str, within: float) -> Any:
        with urllib.request.urlopen(urllib.request.Request(self.url + path, method=method), timeout=within) as answer:
            return answer.read()


if __name__ == "__main__":
    asyncio.run(serve())
