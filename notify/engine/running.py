"""A worker in this process, for `notify work` and `notify dev`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from prefect import get_client

from notify import registry
from notify.engine import automations, deploy, memory, runtime
from notify.engine.context import Engine
from notify.engine.hosting import Host
from notify.engine.idle import Idle
from notify.engine.presence import PATIENCE
from notify.engine.stopping import on_stop
from notify.engine.worker import NotifyWorker
from notify.engine.yard import find_list
from notify.errors import InvalidTemplate
from notify.settings import Settings

#: Seconds between looks at the workflow files.
_LOOK = 0.5
Say = Callable[[str], None]


def _print(line: str) -> None:
    """At once, also into a file or a pipe: somebody may be watching it."""
    print(line, flush=True)


async def work(
    settings: Settings, host: Host, *, until_idle: bool, say: Say = _print, patience: float = PATIENCE
) -> None:
    """Serve until stopped, or until nothing is left to do now; then say what still waits.

    A Prefect server that has not answered for `patience` seconds is done without until it does.
    """
    memory.few_arenas()
    engine = await _engine(settings)
    for error in broken_templates(engine):
        raise error
    worker = NotifyWorker(name=settings.worker)
    worker.schedules = not until_idle
    worker.presence.patience = patience
    if not host.answers:
        worker.presence.start_without()
        say(f"No Prefect server answers at {host.api_url}. Trying on; after {patience:.0f} s work goes on without it.")
    worker.say = say
    on_stop(worker.stop)
    try:
        idle = await worker.serve(engine, until_idle=until_idle, started=lambda: say(_greeting(settings, host)))
    finally:
        await _close(engine)
    if until_idle and idle is not None:
        say(farewell(idle))


async def dev(settings: Settings, host: Host, *, say: Say = _print) -> None:
    """Serve with schedules on, and take over workflows and templates as they are saved."""
    memory.few_arenas()
    engine = await _engine(settings)
    for error in (*engine.registry.broken, *broken_templates(engine)):
        say(str(error))
    worker = NotifyWorker()
    worker.say = say
    on_stop(worker.stop)
    watching = asyncio.create_task(_watch(engine, worker, say))
    try:
        await worker.serve(engine, started=lambda: say(_greeting(settings, host, paste=True)))
    finally:
        watching.cancel()
        await _close(engine)
    say("Stopped. What waits is stored; `notify dev` continues it.")


async def deploy_all(settings: Settings, host: Host, *, say: Say = _print) -> None:
    """Register everything `prefect.yaml` lists, and the automations."""
    found = registry.load(settings.flows)
    file = find_list(settings.flows)
    made = deploy.listed(found, file)
    async with get_client() as client:
        await deploy.ensure_pool(client)
        await deploy.refuse_limited_pool(client)
        names = await deploy.register(client, made, folder=file.parent, schedules=True)
        wanted = automations.listed(automations.find_automations(file.parent), names)
        await automations.apply(client, wanted)
    for name in sorted(names):
        say(name)
    say(f"{len(names)} deployments and {len(wanted)} automations on {host.ui_url}")


def broken_templates(engine: Engine) -> list[InvalidTemplate]:
    """What is wrong with the templates, one finding a workflow."""
    found: list[InvalidTemplate] = []
    for workflow in engine.registry.workflows:
        try:
            engine.contents.check(workflow)
        except InvalidTemplate as error:
            found.append(error)
    return found


async def _engine(settings: Settings) -> Engine:
    engine = await asyncio.to_thread(runtime.build, settings)
    runtime.install(engine)
    return engine


async def _close(engine: Engine) -> None:
    for provider in engine.providers.values():
        await provider.aclose()
    await asyncio.to_thread(engine.database.close)


def _greeting(settings: Settings, host: Host, *, paste: bool = False) -> str:
    lines = [f"Working on {settings.home}" if settings.embedded_database else "Working on PostgreSQL"]
    if settings.email == "file":
        lines.append(
            f"E-mail, push and SMS go to files in {settings.sent} (NOTIFY_EMAIL=smtp or sendgrid sends e-mail)"
        )
    lines.append(f"Prefect UI: {host.ui_url}")
    if paste:
        lines += ["In another terminal:", f"export PREFECT_API_URL={host.api_url}"]
    return "\n".join(lines)


def farewell(idle: Idle) -> str:
    """Whether all is done that can be done now, and what still waits, a line each."""
    said = "Idle" if idle.idle else "Stopped before all was done"
    if not idle.waiting:
        return f"{said}: nothing waits." if idle.idle else f"{said}."
    lines = [
        f"  {one.what}: {one.count:,} waiting"
        + (f", the first until {one.until:%-d %b %Y %H:%M} UTC" if one.until else "")
        for one in idle.waiting
    ]
    return "\n".join([f"{said}. Still waiting:", *lines])


async def _watch(engine: Engine, worker: NotifyWorker, say: Say) -> None:
    """Reload on save: a broken file is reported and keeps the workflows it had, the others go on."""
    folder = engine.settings.flows
    seen = await asyncio.to_thread(_stamps, folder)
    while True:
        await asyncio.sleep(_LOOK)
        now = await asyncio.to_thread(_stamps, folder)
        if now != seen:
            seen = now
            await _reload(engine, worker, say)


def _stamps(folder: Path) -> dict[str, int]:
    files = [*folder.glob("*.py"), *folder.glob("templates/**/*.j2"), find_list(folder)]
    return {str(file): file.stat().st_mtime_ns for file in files if file.is_file()}


async def _reload(engine: Engine, worker: NotifyWorker, say: Say) -> None:
    """Whatever is wrong with what was saved, or with the server, is said; the next save is another try."""
    try:
        await _take_over(engine, worker, say)
    except Exception as error:
        say(f"Not reloaded: {error}")


async def _take_over(engine: Engine, worker: NotifyWorker, say: Say) -> None:
    found = await asyncio.to_thread(registry.load, engine.settings.flows)
    engine.reloaded(found, await asyncio.to_thread(runtime.contents, engine.settings, engine.database))
    for error in (*found.broken, *broken_templates(engine)):
        say(str(error))
    await worker.deploy_again()
    say(f"Reloaded: {len(engine.registry.workflows)} workflows")
