"""`notify demo`: a day of a small company, with its windows shortened, through a real Prefect server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from importlib.resources import files
from os import environ
from typing import Any

from prefect import get_client
from prefect.client.orchestration import PrefectClient
from rich.console import Console
from rich.status import Status

from notify import clock, intake
from notify.desk import Subscribers
from notify.engine import runtime
from notify.engine.context import Engine
from notify.engine.hosting import Host
from notify.engine.idle import look
from notify.engine.screen import screen
from notify.engine.stopping import on_stop
from notify.engine.worker import NotifyWorker
from notify.model import Verdict
from notify.settings import Settings, shipped_flows
from notify.store import events

#: The day's seconds are the sample's, times this.
PACE = 0.5
#: What is still ahead begins this many seconds after the day was emitted: a slow machine gets longer, so that what
#: happened before is worked on by then. Longer than comments collect, so that the day's counts do not depend on it.
LEAST_HEAD, MOST_HEAD = 8.0, 25.0
#: Due dates up to here (of the sample) are too close for any reminder, and get no head start.
TOO_CLOSE = 5.0
#: Seconds before the due date at which the reminders of the demo fire, and for which comments collect (of the sample).
DAY_BEFORE, HOUR_BEFORE, BURST = 20.0, 8.0, 10.0
#: Whatever wakes later than this still waits when the demo ends.
LATER = timedelta(minutes=2)
#: Seconds after which the demo ends in any case.
LONGEST = 60.0
DIGEST = "daily-digest/cron"


Say = Callable[[str], None]


async def demo(settings: Settings, host: Host, *, console: Console, status: Status) -> None:
    """Emit the day, let it run, close the daily digest, and print what became of it."""
    settings = replace(settings, flows=shipped_flows())
    with _shortened():
        status.update("Registering deployments …")
        engine = await asyncio.to_thread(runtime.build, settings)
        runtime.install(engine)
        waiting = await _served(engine, lambda words: status.update(f"{words}  [dim]{host.ui_url}[/dim]"))
    status.stop()
    console.print(await asyncio.to_thread(screen, engine, waiting))
    engine.database.close()


async def _served(engine: Engine, say: Say) -> list[Upcoming]:
    """The day beside a worker; answers what is still scheduled at its end."""
    worker = NotifyWorker()
    worker.schedules = False
    on_stop(worker.stop)
    ready = asyncio.Event()
    began = clock.now()
    serving = asyncio.create_task(worker.serve(engine, started=ready.set))
    try:
        await _either(ready.wait(), serving)
        registered = (clock.now() - began).total_seconds()
        await _day(engine, say, min(max(4 * registered, LEAST_HEAD), MOST_HEAD))
        return await _upcoming()
    finally:
        worker.stop()
        await serving


@contextmanager
def _shortened() -> Generator[None]:
    """A day in a minute: the workflows' own parameters, set for this process."""
    ours = {
        "NOTIFY_DEADLINE_REMINDER_HOURS": f"{DAY_BEFORE * PACE / 3600:.9f}",
        "NOTIFY_DEADLINE_URGENT_HOURS": f"{HOUR_BEFORE * PACE / 3600:.9f}",
        "NOTIFY_COMMENT_DIGEST_MINUTES": f"{BURST * PACE / 60:.9f}",
        "NOTIFY_ALERT_ON_FAILURE_TO": environ.get("NOTIFY_ALERT_ON_FAILURE_TO", ""),
    }
    before = {name: environ.get(name) for name in ours}
    environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            environ.pop(name) if value is None else environ.update({name: value})


async def _either(waited: Any, serving: asyncio.Task[Any]) -> None:
    """Wait for the worker to be ready, or for it to fail before that."""
    waiting = asyncio.ensure_future(waited)
    done, _ = await asyncio.wait({waiting, serving}, return_when=asyncio.FIRST_COMPLETED)
    if serving in done:
        waiting.cancel()
        await serving


async def _day(engine: Engine, say: Say, head: float) -> None:
    people = Subscribers(engine.database, engine.environment)
    await asyncio.to_thread(people.save, list(sample("people")))
    now = clock.now()
    day = [intake.parse_event(at_pace(event, now, head), engine.registry.events, now) for event in sample("day")]
    receipts = await engine.write(events.accept, day)
    fresh = sum(receipt.verdict is Verdict.ACCEPTED for receipt in receipts)
    engine.bell.set()
    say(f"{fresh} events emitted" if fresh else "This folder has seen the day already: going on with it")
    await _settled(engine, say)
    say("Closing the daily digest through its cron deployment")
    await _digest(clock.now())


def sample(name: str) -> Iterator[dict[str, Any]]:
    """The rows of `people` or `day`, as the package ships them."""
    text = files("notify.sample").joinpath(f"{name}.ndjson").read_text(encoding="utf-8")
    return (json.loads(line) for line in text.splitlines() if line.strip())


def at_pace(event: Mapping[str, Any], start: datetime, head: float) -> dict[str, Any]:
    """A sample event with its relative seconds made instants; what lies ahead begins after the head start."""
    made = {name: value for name, value in event.items() if name != "at"}
    at = float(event["at"])
    made["ts"] = int(_after(start, at, head if at > 0 else 0.0).timestamp() * 1000)
    due = event["data"].get("dueDate")
    if due is not None:
        ahead = float(due["in"])
        instant = _after(start, ahead, head if ahead > TOO_CLOSE else 0.0)
        made["data"] = {**event["data"], "dueDate": instant.isoformat()}
    return made


def _after(start: datetime, seconds: float, head: float) -> datetime:
    return start + timedelta(seconds=head + seconds * PACE)


async def _settled(engine: Engine, say: Say) -> None:
    """Until nothing is left that happens soon."""
    deadline = clock.now() + timedelta(seconds=LONGEST)
    while (now := clock.now()) < deadline:
        found = await look(engine)
        soon = [one for one in found.waiting if one.until and now < one.until < now + LATER]
        if found.idle and not soon:
            return
        say(_progress(soon, now))
        await asyncio.sleep(0.25)


def _progress(soon: list[Any], now: datetime) -> str:
    if not soon:
        return "Working"
    return "Waiting: " + ", ".join(f"{one.what} in {(one.until - now).total_seconds():.0f} s" for one in soon)


async def _digest(until: datetime) -> None:
    """As an operator would: run the cron deployment, for what has happened until now."""
    async with get_client() as client:
        deployment = await client.read_deployment_by_name(DIGEST)
        run = await client.create_flow_run_from_deployment(deployment.id, parameters={"until": until.isoformat()})
        await _finished(client, run.id)


async def _finished(client: PrefectClient, flow_run: Any) -> None:
    deadline = clock.now() + timedelta(seconds=20)
    while clock.now() < deadline:
        run = await client.read_flow_run(flow_run)
        if run.state is not None and run.state.is_final():
            return
        await asyncio.sleep(0.1)


@dataclass(frozen=True, slots=True)
class Upcoming:
    """A scheduled flow run that stands for somebody's wait."""

    name: str
    at: datetime


async def _upcoming() -> list[Upcoming]:
    async with get_client() as client:
        runs = await client.read_flow_runs(limit=200)
    scheduled = [run for run in runs if run.state is not None and run.state.is_scheduled()]
    return sorted(
        (Upcoming(run.name, run.next_scheduled_start_time) for run in scheduled if run.next_scheduled_start_time),
        key=lambda one: one.at,
    )
