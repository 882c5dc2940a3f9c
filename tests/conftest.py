"""What every test may ask for: an empty environment, a home, and databases of both kinds."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from tests import prefect_files
from tests.databases import Databases
from tests.postgres import FAST, Server, Unavailable

_POSTGRES_VARIABLE = "NOTIFY_TEST_POSTGRES_URL"
_POSTGRES = os.environ.get(_POSTGRES_VARIABLE)
_PREFECT_HOME = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Nothing of ours from outside reaches a test. Here, because Prefect reads its settings when it is imported."""
    for name in [name for name in os.environ if name.startswith(("NOTIFY_", "PREFECT_"))]:
        if name != _POSTGRES_VARIABLE:  # which the processes that xdist starts have to find
            del os.environ[name]
    config.stash[_PREFECT_HOME] = os.environ["PREFECT_HOME"] = tempfile.mkdtemp(prefix="notify-prefect-")
    os.environ |= {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}


def pytest_unconfigure(config: pytest.Config) -> None:
    """Prefect's files go with the run."""
    shutil.rmtree(config.stash[_PREFECT_HOME], ignore_errors=True)


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees a `NOTIFY_*` variable it did not set."""
    for name in [name for name in os.environ if name.startswith("NOTIFY_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty `NOTIFY_HOME`, set."""
    folder = tmp_path / ".notify"
    folder.mkdir()
    monkeypatch.setenv("NOTIFY_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """The databases of one PostgreSQL server, which all test processes share. It is fast because it is not durable."""
    try:
        base = tmp_path_factory.getbasetemp()
        databases = Databases(_with_driver(_POSTGRES) if _POSTGRES else _made_once(base, "postgres", _start_shared))
    except Unavailable as error:
        _missing(f"no PostgreSQL: {error}")
    yield databases
    databases.close()


@pytest.fixture
def make_database(postgres_server: Databases) -> Iterator[Callable[..., str]]:
    """`make_database(template=…)` gives the URL of a fresh database, gone after the test; see Databases.template."""
    made: list[str] = []

    def make(template: str = "template0") -> str:
        made.append(postgres_server.create(template))
        return made[-1]

    yield make
    for url in made:
        postgres_server.release(url)


@pytest.fixture
def postgres_url(make_database: Callable[..., str]) -> str:
    """A fresh, empty PostgreSQL database."""
    return make_database()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'notify.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh, empty database of each kind."""
    return request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")


@pytest.fixture
def durable_postgres() -> Iterator[Server]:
    """A started server of the test's own, which it may `kill` and `start` again: commits survive."""
    server = Server()
    try:
        server.start()
        yield server
    except Unavailable as error:
        _missing(f"no PostgreSQL: {error}")
    finally:
        server.stop()


@pytest.fixture(scope="session")
def known_to_prefect(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """`known_to_prefect(home)` makes a home in which a Prefect server has run before: the next one starts at once."""

    def make(run: Path) -> str:
        prefect_files.make(run / "prefect-home")
        return str(run / "prefect-home")

    made = Path(_made_once(tmp_path_factory.getbasetemp(), "prefect", make))
    return lambda home: prefect_files.copy(made, home)


def _made_once(base: Path, name: str, make: Callable[[Path], str]) -> str:
    """What the first test process to ask makes in the run's folder, for all of them."""
    # With xdist each process has a folder below the run's own; without, the folder is the run's own.
    run = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with (run / f"{name}.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        made = lock.read()
        if not made:
            made = make(run)
            lock.write(made)
        return made


def _start_shared(_: Path) -> str:
    server = Server(FAST)
    try:
        server.start()
    except Unavailable:
        server.stop()
        raise
    server.outlive_us(os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid())
    return server.url


def _with_driver(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def _missing(why: str) -> NoReturn:
    """Visible locally, a failure where everything has to be there."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)
