"""Which Prefect server a process works with, when the one it finds is slow to say that it is well."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from notify.engine import hosting
from notify.engine.hosting import Host, hosted
from notify.settings import Settings


class Busy(ThreadingHTTPServer):
    """It accepts, and answers once it `may`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.may = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/api"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Busy)
        self.server.may.wait(60)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def busy() -> Iterator[Busy]:
    with Busy() as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield server
        server.may.set()
        server.shutdown()
        serving.join()


@pytest.mark.parametrize("configured", [True, False])
def test_a_busy_server_is_waited_for_and_whoever_waits_is_told(
    busy: Busy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, configured: bool
) -> None:
    said: list[str] = []

    def warning(text: str, *words: object) -> None:
        said.append(text % words)
        busy.may.set()

    monkeypatch.setattr(hosting, "SILENT", 0.0)
    monkeypatch.setattr(hosting.log, "warning", warning)
    monkeypatch.setattr(hosting, "use_prefect", lambda *_: None)  # it changes this process for good
    (tmp_path / "prefect.json").write_text(json.dumps({"url": busy.url}))
    settings = Settings(tmp_path, "sqlite://", tmp_path, prefect_api_url=busy.url if configured else None)

    host = asyncio.run(_host(settings))

    assert (host.api_url, host.embedded, host.answers) == (busy.url, False, True)
    assert set(said) == {f"waiting for the Prefect server at {busy.url}, which is slow to answer"}


async def _host(settings: Settings) -> Host:
    async with hosted(settings) as host:
        return host
