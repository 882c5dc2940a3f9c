"""Opening a rehearsal: an engine of your workflows over an empty store, and a clock that stands still."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from notify import clock, registry
from notify.channels.memory import MemoryProvider
from notify.client import Notify
from notify.engine import runtime
from notify.engine.context import Engine
from notify.errors import InvalidInput
from notify.model import Channel
from notify.settings import Settings
from notify.store.database import Database
from notify.store.scratch import scratch
from notify.testing.backstage import hands_for
from notify.testing.instants import beginning
from notify.testing.kit import Rehearsal

_REMEDY = "Give `flows` the folder of your workflows, or name it as `notify_flows` in pytest's configuration"
#: The variables of the environment that say what holds messages back.
_LIMITS = ("NOTIFY_SCHEDULE", "NOTIFY_BUDGET", "NOTIFY_BUDGET_EXEMPT", "NOTIFY_BUDGET_OVERFLOW")
_SENT_BY_PROVIDERS = (Channel.EMAIL, Channel.SMS, Channel.PUSH)


@contextmanager
def rehearsal(
    at: str, *, flows: Path | str = "flows", settings: Mapping[str, str] | None = None
) -> Generator[Rehearsal]:
    """Rehearse the workflows of a folder from an instant on: `rehearsal("2026-03-28 22:00 Europe/Rome")`.

    The real engine over a store in memory; no server, no network, and nobody waits. An exception that leaves the
    block says, as a note, what was sent and why the rest was not. `settings` are limits, by the variables that set
    them for workers: `{"NOTIFY_BUDGET": "email: 2/day"}`; those of the environment are not read.
    """
    now, home = beginning(at)
    with ExitStack() as stack:
        stack.enter_context(_one_at_a_time())
        database = stack.enter_context(scratch())
        frozen = clock.Frozen(now)
        stack.enter_context(clock.use(frozen))
        engine = _engine(database, Path(flows).absolute(), settings or {})
        notify = Notify(engine.settings, database)
        notify.registry = engine.registry
        made = Rehearsal(engine, notify, frozen, home, stack.enter_context(hands_for(engine)))
        stack.callback(made.close)
        try:
            yield made
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # pytest's own failures are no Exception
            made.note(error)
            raise


def _engine(database: Database, flows: Path, limits: Mapping[str, str]) -> Engine:
    if not flows.is_dir():
        raise InvalidInput(field="flows", problem=f"there is no folder {flows}", remedy=_REMEDY)
    found = registry.load(flows)
    if found.broken:
        raise found.broken[0]
    if not found.workflows:
        raise InvalidInput(field="flows", problem=f"there is no workflow in {flows}", remedy=_REMEDY)
    settings = _settings(database, flows, limits)
    providers = {channel: MemoryProvider(channel) for channel in _SENT_BY_PROVIDERS}
    contents = runtime.contents(settings, database)
    return Engine(settings, database, found, contents, providers)


def _settings(database: Database, flows: Path, limits: Mapping[str, str]) -> Settings:
    for name, value in limits.items():
        if name not in _LIMITS:
            remedy = f"A rehearsal takes {', '.join(_LIMITS)}"
            raise InvalidInput(field="settings", problem=f"no limit is called {name!r}", remedy=remedy)
        if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            remedy = "Write it as in the environment"
            raise InvalidInput(field=f"settings.{name}", problem=f"{value!r} is no text", remedy=remedy)
    home = Path(database.url.database or "").parent
    given = Settings.from_env({**limits, "NOTIFY_FLOWS": str(flows)})
    return replace(given, home=home, database_url=str(database.url))


_open = False


@contextmanager
def _one_at_a_time() -> Generator[None]:
    """The clock belongs to the whole process."""
    global _open
    if _open:
        raise InvalidInput(
            field="rehearsal", problem="another one is open", remedy="Close it first: there is one clock"
        )
    _open = True
    try:
        yield
    finally:
        _open = False
