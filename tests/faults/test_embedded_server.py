"""The embedded Prefect server is killed: the worker's process starts it again, on the same port and file."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from notify.engine.server import EmbeddedServer
from notify.errors import PrefectUnavailable
from tests.eventually import eventually

WITHIN = 120.0


async def test_it_is_started_again_where_it_was(tmp_path: Path, known_to_prefect: Callable[[Path], Path]) -> None:
    known_to_prefect(tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with EmbeddedServer(tmp_path, port) as server:
        first = _known(tmp_path)
        keeping = asyncio.create_task(server.keep())
        try:
            os.kill(first["pid"], signal.SIGKILL)
            await eventually(lambda: _known(tmp_path)["pid"] != first["pid"], "another one runs", within=WITHIN)
            async with httpx.AsyncClient() as client:
                assert (await client.get(f"{server.api_url}/health")).is_success
        finally:
            keeping.cancel()
        assert _known(tmp_path)["url"] == first["url"] == server.api_url
    assert not (tmp_path / "prefect.json").exists()


async def test_one_that_cannot_start_says_why_and_leaves_nothing_open(tmp_path: Path) -> None:
    (tmp_path / "prefect").mkdir()
    (tmp_path / "prefect" / "prefect.db").write_text("not a database at all" * 100)
    server = EmbeddedServer(tmp_path)

    with pytest.raises(PrefectUnavailable, match="file is not a database"):
        await server.__aenter__()

    assert not (tmp_path / "prefect.json").exists()


def _known(home: Path) -> dict[str, Any]:
    return json.loads((home / "prefect.json").read_text())
