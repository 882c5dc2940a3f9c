"""What the fault runs kill and start again: workers, a Prefect server and PostgreSQL, each its own processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import psycopg
import sqlalchemy as sa

from notify.engine.server import EmbeddedServer
from notify.errors import PrefectUnavailable
from tests.postgres import Server

ROOT = Path(__file__).parents[2]
FLOWS = Path(__file__).with_name("load_flows")
_GREETING = b"Prefect UI: "


async def lapse(seconds: float) -> None:
    """Let time go by where no condition could be waited for: the pace of the load and of the kills."""
    await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=seconds)


class Machine(Protocol):
    """Something that can be killed and comes back."""

    @property
    def up(self) -> bool:
        """Whether it does its work now."""
        ...

    async def kill(self) -> None:
        """SIGKILL."""
        ...

    async def start(self) -> None:
        """Start it, again; what it kept is there."""
        ...

    async def stop(self) -> None:
        """End it for good."""
        ...


class Worker:
    """`notify work`. One that gives up because its server or database is away is started again by `start`."""

    def __init__(self, name: str, folder: Path, environment: dict[str, str], lease: float | None = None) -> None:
        self.log = folder / f"{name}.log"
        command = [sys.executable, "-m"]
        self._command = [*command, *(["notify.cli"] if lease is None else ["tests.faults.worker", str(lease)]), "work"]
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._began_at = 0

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.poll() is None

    @property
    def up(self) -> bool:
        with self.log.open("rb") as log:
            log.seek(self._began_at)
            return self.running and _GREETING in log.read(2000)

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    async def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self._began_at = self.log.stat().st_size
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    async def stop(self) -> None:
        """SIGTERM; SIGKILL for one that does not end."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            await asyncio.to_thread(self._process.wait, 60)
        except subprocess.TimeoutExpired:
            await self.kill()


class PrefectServer:
    """A Prefect server on one port, with its own SQLite file."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._home = home
        self._server: EmbeddedServer | None = None
        self.up = False

    @property
    def url(self) -> str:
        """What PREFECT_API_URL is to be."""
        return f"http://127.0.0.1:{self._port}/api"

    async def kill(self) -> None:
        self.up = False
        if self._server is not None:
            os.killpg(json.loads((self._home / "prefect.json").read_text())["pid"], signal.SIGKILL)
            await self._server.__aexit__()

    async def start(self) -> None:
        """Its port may be in use for a moment by connections of the one before."""
        self._server = EmbeddedServer(self._home, self._port)
        with suppress(PrefectUnavailable):
            await self._server.__aenter__()
            self.up = True

    async def stop(self) -> None:
        self.up = False
        if self._server is not None:
            await self._server.__aexit__()


class Postgres:
    """PostgreSQL as durable as it is by default."""

    def __init__(self) -> None:
        self.server = Server()
        self.up = False

    @property
    def url(self) -> str:
        """The store."""
        return sa.make_url(self.server.url).set(database="notify").render_as_string(hide_password=False)

    @property
    def log(self) -> Path:
        """What the server wrote."""
        return self.server.folder / "log"

    def make(self) -> None:
        """Start it and create the store's database."""
        self.server.start()
        plain = sa.make_url(self.server.url).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute("CREATE DATABASE notify")
        self.up = True

    async def kill(self) -> None:
        self.up = False
        await asyncio.to_thread(self.server.kill)

    async def start(self) -> None:
        await asyncio.to_thread(self.server.start)
        self.up = True

    async def stop(self) -> None:
        self.up = False
        await asyncio.to_thread(self.server.stop)


def environment(folder: Path, database: str, prefect: str, sink: str) -> dict[str, str]:
    """What a worker finds in its environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NOTIFY_", "PREFECT_"))}
    return kept | {
        "NOTIFY_HOME": str(folder),
        "NOTIFY_DATABASE_URL": database,
        "NOTIFY_FLOWS": str(FLOWS),
        "NOTIFY_EMAIL": "sendgrid",
        "NOTIFY_SENDGRID_KEY": "SG.key",
        "NOTIFY_SENDGRID_URL": sink,
        "PREFECT_API_URL": prefect,
        "PREFECT_HOME": str(folder / "prefect"),
        "PYTHONUNBUFFERED": "1",
    }
