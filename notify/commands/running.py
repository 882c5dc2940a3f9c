"""Workers and the embedded system: `work`, `dev`, `deploy`, `db`."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from importlib import import_module
from typing import Annotated, Any, TypeVar

import orjson
import typer
from rich.console import Console

from notify import registry
from notify.commands.errors import explained
from notify.engine import impact
from notify.engine.hosting import hosted
from notify.engine.life import check as check_life
from notify.engine.stopping import ask
from notify.errors import InvalidInput
from notify.registry import Registry
from notify.settings import Settings
from notify.store import schema
from notify.store.database import Database

T = TypeVar("T")
#: What the demo's last screen is made for, where no terminal says otherwise.
WIDTH = 100
app = typer.Typer()
db = typer.Typer(no_args_is_help=True, help="The store's database, and the outbox in an application's own.")

Port = Annotated[int | None, typer.Option(help="The embedded Prefect server's port; 4200 or the next free one.")]


@app.command()
@explained
def work(
    until_idle: Annotated[bool, typer.Option("--until-idle", help="End when nothing is left to do now.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only say whether this host's worker is alive.")] = False,
    port: Port = None,
) -> None:
    """Work on what is stored: match, wait, decide, deliver.

    Without --until-idle it also starts while the configured Prefect server is away: urgent workflows at once, the
    others after half a minute; what is done then becomes flow runs when the server answers.
    """
    settings = Settings.from_env()
    if check:
        print(check_life(settings))
        return
    _refuse_broken(registry.load(settings.flows))
    run(lambda: with_prefect(settings, port, "running", "work", patient=not until_idle, until_idle=until_idle))


@app.command()
@explained
def dev(port: Port = None) -> None:
    """Everything on this machine, with workflows reloaded on save. Ctrl-C ends it all."""
    settings = Settings.from_env()
    run(lambda: with_prefect(settings, port, "running", "dev"))


@app.command()
@explained
def deploy(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say whom this release touches.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also where people who wait would fail.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; goes with --dry-run.")] = False,
) -> None:
    """Register what `prefect.yaml` lists, with the work pool it needs, on the configured Prefect server.

    First it says how many people wait in what this release changes. Where some of them would fail, nothing is applied.
    """
    if as_json and not dry_run:
        raise InvalidInput(field="--json", problem="goes with --dry-run", remedy="Add --dry-run, or leave it out")
    settings = Settings.from_env()
    found = registry.load(settings.flows)
    _refuse_broken(found)
    touched = impact.of_release(settings, found)
    print(orjson.dumps(touched.as_json()).decode() if as_json else "\n".join(touched.lines()))
    if not force:
        touched.refuse_failures()
    if dry_run:
        return
    run(lambda: with_prefect(settings, None, "running", "deploy_all"))


@app.command()
@explained
def demo(port: Port = None) -> None:
    """A day of a small company in a minute: real events, real flow runs, messages as files."""
    settings = Settings.from_env()
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    status = console.status("Starting a Prefect server …")
    status.start()
    try:
        run(lambda: with_prefect(settings, port, "demo", "demo", console=console, status=status))
    finally:
        status.stop()


@db.command("upgrade")
@explained
def upgrade() -> None:
    """Bring the database's schema up to date."""
    database = Database(Settings.from_env().database_url)
    print(f"schema {schema.upgrade(database)} · {database.url.render_as_string(hide_password=True)}")
    database.close()


def _refuse_broken(found: Registry) -> None:
    """A worker that lacks a workflow would drop its events for good: it does not start."""
    if found.broken:
        for error in found.broken[1:]:
            print(f"notify: {error}", file=sys.stderr)
        raise found.broken[0]


async def with_prefect(
    settings: Settings, port: int | None, module: str, name: str, *, patient: bool = False, **options: Any
) -> None:
    """Call `notify.engine.<module>.<name>` beside a server that answers: Prefect reads its settings on import."""
    async with hosted(settings, port, patient=patient) as host:
        work = getattr(import_module(f"notify.engine.{module}"), name)
        await work(settings, host, **options)


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run to the end; Ctrl-C and SIGTERM ask it to stop, a second one insists."""
    return asyncio.run(_stoppable(work))


async def _stoppable(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    task = asyncio.create_task(work())
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if not ask():
            task.cancel()

    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop)
    try:
        return await task
    except asyncio.CancelledError:
        raise typer.Exit(130) from None
