"""The embedded Prefect server: one subprocess on loopback, with its own SQLite file, gone when we are gone."""

from __future__ import annotations

import asyncio
import ctypes
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import httpx

from notify.errors import NotifyError, PortTaken, PrefectUnavailable, StoreNotWritable

log = logging.getLogger("notify.server")
HOST = "127.0.0.1"
#: The port people expect of Prefect.
PORT = 4200
#: Seconds a server may take to answer, and to stop.
START, STOP = 90.0, 10.0
#: Seconds between looks at whether it still runs, and before another try when it could not be started again.
LOOK, AGAIN = 1.0, 10.0
#: Seconds that open connections (a browser's, a worker's) may delay the stop.
GRACE = 3
_PR_SET_PDEATHSIG = 1
#: What went wrong, as a traceback ends (`sqlite3.DatabaseError: file is not a database`), else as a log has it.
_RAISED, _LOGGED = re.compile(r"^[\w.]+(Error|Exception): ."), re.compile(r"\| (ERROR|CRITICAL) ")


#: Without the recorder's batches concurrent writes to SQLite answer 503 and clients wait two seconds; flow runs are
#: never vacuumed by default.
TUNING = {
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": "1209600",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_CLI_PROMPT": "false",
}


class EmbeddedServer:
    """A Prefect server for the length of an `async with` block.

    `port` None prefers 4200 and takes the next free one; a port given and taken is PortTaken. A server that does not
    start is PrefectUnavailable with the last line of its log.
    """

    def __init__(self, home: Path, port: int | None = None) -> None:
        self.home = home
        self._socket = _listening(port)
        self.port: int = self._socket.getsockname()[1]
        self.log = home / "prefect-server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self._began_at = 0

    @property
    def api_url(self) -> str:
        """What PREFECT_API_URL is to be."""
        return f"http://{HOST}:{self.port}/api"

    @property
    def ui_url(self) -> str:
        """Where a browser finds it."""
        return f"http://{HOST}:{self.port}"

    async def __aenter__(self) -> EmbeddedServer:
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            self._output = self.log.open("ab")
        except OSError as error:
            raise StoreNotWritable(folder=str(self.home), problem=error.strerror or str(error)) from error
        try:
            await self._start()
        except BaseException:
            self._output.close()
            raise
        return self

    async def keep(self) -> None:
        """Start it again, on the same port and file, whenever it ends by itself; until cancelled."""
        while True:
            await asyncio.sleep(LOOK)
            if self._process is not None and self._process.poll() is None:
                continue
            log.warning("The Prefect server ended by itself; it is started again, see %s", self.log)
            try:
                self._socket = _listening(self.port)
                await self._start()
            except NotifyError as error:
                log.warning("%s", error)
                await asyncio.sleep(AGAIN)

    async def _start(self) -> None:
        self._began_at = self.log.stat().st_size
        self._socket.set_inheritable(True)
        self._process = subprocess.Popen(
            _command(self._socket.fileno()),
            pass_fds=[self._socket.fileno()],
            env=_environment(self.home, self.api_url),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            start_new_session=True,
            preexec_fn=_die_with(os.getpid()) if sys.platform == "linux" else None,
        )
        self._socket.close()
        try:
            await asyncio.wait_for(self._answers(), START)
        except TimeoutError:
            await self._end()
            raise PrefectUnavailable(
                url=self.api_url, problem=f"no answer within {START:.0f} s, see {self.log}"
            ) from None
        except BaseException:
            await self._end()
            raise
        (self.home / "prefect.json").write_text(json.dumps({"pid": self._process.pid, "url": self.api_url}))

    async def _answers(self) -> None:
        async with httpx.AsyncClient() as client:
            while not await self._healthy(client):
                if self._process is None or self._process.poll() is not None:
                    raise PrefectUnavailable(url=self.api_url, problem=self._last_words())
                await asyncio.sleep(0.1)

    async def _healthy(self, client: httpx.AsyncClient) -> bool:
        try:
            return (await client.get(f"{self.api_url}/health")).is_success
        except httpx.HTTPError:
            return False

    def _last_words(self) -> str:
        """Why this start failed: the last error in what this run logged, else its last line."""
        with self.log.open(errors="replace") as log:
            log.seek(self._began_at)
            lines = [line.strip() for line in log if line.strip()]
        telling = [line for line in lines if _RAISED.search(line)] or [line for line in lines if _LOGGED.search(line)]
        last = (telling or lines)[-1:]
        return f"it ended with {last[0]!r}" if last else "it ended without a word"

    async def __aexit__(self, *_: object) -> None:
        await self._end()
        if self._output is not None:
            self._output.close()

    async def _end(self) -> None:
        await asyncio.to_thread(self.stop)

    def stop(self) -> None:
        """End it, where there is no loop to leave the block in."""
        if self._process is not None:
            _stop(self._process)
        (self.home / "prefect.json").unlink(missing_ok=True)


def _command(descriptor: int) -> list[str]:
    """The socket is bound before the server starts: two that start together never take each other's port."""
    application = ["--factory", "notify.engine.prefect_app:create_app"]
    return [
        sys.executable,
        "-m",
        "uvicorn",
        *application,
        "--fd",
        str(descriptor),
        "--log-level",
        "warning",
        "--timeout-graceful-shutdown",
        str(GRACE),
    ]


def _environment(home: Path, api_url: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    folder = home / "prefect"
    return {
        **inherited,
        **TUNING,
        "PREFECT_HOME": str(folder),
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder / 'prefect.db'}",
        "PREFECT_UI_API_URL": api_url,
        "PREFECT_SERVER_UI_API_URL": api_url,
    }


def _die_with(parent: int) -> Callable[[], None]:
    """Runs in the child: the kernel ends it when the thread that started it ends, so start it from the main thread."""
    prctl = ctypes.CDLL(None).prctl

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return tie


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(STOP)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP)


def _listening(port: int | None) -> socket.socket:
    """A socket on the port given, or on 4200, or on any that is free."""
    for wanted in (PORT, 0) if port is None else (port,):
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((HOST, wanted))
            bound.listen(128)
        except OSError:
            bound.close()
        else:
            return bound
    raise PortTaken(port=port)
