"""A system to measure: a worker, its Prefect server and its store, on SQLite or on PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from notify.settings import Settings
from tests.benchmarks.prefect_server import PrefectServer
from tests.benchmarks.storage import Storage
from tests.benchmarks.worker import Worker, environment

SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"
#: Workflows that only the benchmarks have.
OWN_FLOWS = Path(__file__).parent / "flows"


@dataclass(frozen=True)
class Place:
    """What is there before a worker starts. Without `prefect`, the worker starts its own embedded server."""

    name: str
    folder: Path
    variables: Mapping[str, str]
    prefect: PrefectServer | None = None
    storage: Storage | None = None

    @property
    def settings(self) -> Settings:
        """What application and worker share."""
        return Settings.from_env(self.variables)

    @contextmanager
    def working(self) -> Generator[System]:
        """A worker that has registered and serves, for the length of the block."""
        with Worker(self.folder, self.variables) as worker:
            if self.prefect is not None:
                yield System(self, worker.process.pid, self.prefect.process.pid, self.prefect.url)
                return
            server = json.loads((self.folder / "notify" / "prefect.json").read_text())
            yield System(self, worker.process.pid, server["pid"], server["url"])


@dataclass(frozen=True)
class System:
    """All of it, running."""

    place: Place
    worker: int
    server: int
    api_url: str

    @property
    def pids(self) -> dict[str, int]:
        """Its processes, each with everything below it: an embedded server is below its worker."""
        if self.place.storage is None:
            return {"worker and Prefect server": self.worker}
        return {"worker": self.worker, "Prefect server": self.server, "PostgreSQL": self.place.storage.pid}


@contextmanager
def on_sqlite(
    folder: Path, sink_url: str, extra: Mapping[str, str] | None = None, profile: Mapping[str, str] | None = None
) -> Generator[Place]:
    """As `notify work` starts it in an empty folder: two SQLite files and an embedded Prefect server.

    `profile` are settings of the Prefect server that notify leaves to whoever runs it.
    """
    here = folder / "sqlite"
    _write_profile(here / "notify" / "prefect", profile or {})
    variables = environment(here, f"sqlite:///{here / 'notify' / 'notify.db'}", "", sink_url)
    del variables["PREFECT_API_URL"]
    yield Place(SQLITE, here, variables | (extra or {}))


@contextmanager
def on_postgresql(
    folder: Path,
    storage: Storage,
    sink_url: str,
    extra: Mapping[str, str] | None = None,
    profile: Mapping[str, str] | None = None,
) -> Generator[Place]:
    """As production has it: the store and the Prefect server each in a database of one PostgreSQL."""
    here = folder / "postgresql"
    _write_profile(here / "prefect-server", profile or {})
    with PrefectServer(here, storage.create("prefect_server")) as prefect:
        variables = environment(here, storage.create("notify"), prefect.url, sink_url)
        yield Place(POSTGRESQL, here, variables | (extra or {}), prefect, storage)


def _write_profile(home: Path, profile: Mapping[str, str]) -> None:
    home.mkdir(parents=True)
    lines = [
        'active = "benchmark"',
        "",
        "[profiles.benchmark]",
        *(f'{name} = "{value}"' for name, value in profile.items()),
    ]
    (home / "profiles.toml").write_text("\n".join(lines) + "\n")
