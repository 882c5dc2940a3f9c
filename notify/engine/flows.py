"""Workflows as Prefect flows: one to start by hand, one for what is ready, one that closes calendar digests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

from prefect import Flow, State, get_client
from prefect.context import get_run_context
from prefect.states import Cancelled, Completed, Failed

from notify import clock
from notify.engine import batch, by_hand, runtime
from notify.engine.calling_off import REASON
from notify.engine.context import Engine
from notify.engine.stage import PrefectStage
from notify.engine.work import Tally
from notify.store import alarms, cancellations
from notify.workflow import Workflow

#: A batch run ends after this long without work, and after that long in any case (seconds).
IDLE, LONGEST = 1.0, 60.0


class NotifyFlow(Flow[..., Any]):
    """A workflow's flow: this one is started by hand; `batch` works on what is ready, `cron` closes its digests."""

    batch: Flow[..., Any]
    cron: Flow[..., Any]


def as_flow(workflow: Workflow) -> NotifyFlow:
    """The three flows of one workflow, under its id."""
    made = NotifyFlow(_notify(workflow), **_options(workflow))
    made.batch = Flow(_batch(workflow), **_options(workflow))
    made.cron = Flow(_cron(workflow), **_options(workflow))
    return made


def _options(workflow: Workflow) -> dict[str, Any]:
    return {
        "name": workflow.id,
        "description": workflow.description,
        "persist_result": False,
        "log_prints": False,
        "validate_parameters": True,
    }


def _notify(workflow: Workflow) -> Callable[..., Coroutine[Any, Any, State]]:
    async def notify(
        payload: Any, to: list[str] | None = None, actor: str | None = None, dry_run: bool = False
    ) -> State:
        engine = await runtime.engine()
        current = engine.registry.workflow(workflow.id)
        async with _reported(engine, current) as run:
            if dry_run:
                told = await by_hand.rehearse(engine, current, payload, to)
                return Completed(message=told)
            ready = await by_hand.prepare(engine, current, str(run.flow_run), payload, to, actor)
            await run.drive(
                batch.Scope(event=ready.event.uid, before=ready.write, stop=run.stopping, cancelled=run.cancelled)
            )
            if run.cancelled():
                now = clock.now()
                await engine.write(cancellations.by_transaction, str(run.flow_run), REASON, now)
            await by_hand.show(engine, str(run.flow_run))
            return run.state()

    notify.__annotations__["payload"] = workflow.payload
    notify.__doc__ = f"""{workflow.description}

    Args:
        payload: What the message is about.
        to: Subscriber ids. Leave it out where the workflow knows whom it concerns.
        actor: The subscriber id of whoever caused this.
        dry_run: Say who would be told and who not, and why; send nothing.
    """
    return notify


def _batch(workflow: Workflow) -> Callable[..., Coroutine[Any, Any, State]]:
    async def batch_run() -> State:
        engine = await runtime.engine()
        current = engine.registry.workflow(workflow.id)
        async with _reported(engine, current) as run:
            await run.drive(batch.Scope(stop=run.stopping, cancelled=run.cancelled), keep_on=True)
            return run.state()

    batch_run.__doc__ = f"Work on every notification of {workflow.id} that is ready."
    return batch_run


def _cron(workflow: Workflow) -> Callable[..., Coroutine[Any, Any, State]]:
    async def cron(since: datetime | None = None, until: datetime | None = None, dry_run: bool = False) -> State:
        engine = await runtime.engine()
        current = engine.registry.workflow(workflow.id)
        async with _reported(engine, current) as run:
            if dry_run:
                return Completed(message=await by_hand.rehearse_digest(engine, current, since, until))
            closed: list[int] = []
            before = by_hand.close_calendar(engine, current, since, until, closed)
            await run.drive(batch.Scope(before=before, stop=run.stopping, cancelled=run.cancelled))
            return run.state(await by_hand.digested(engine, current, sum(closed), sentence(run.tally)))

    cron.__doc__ = f"""{workflow.description}

    Args:
        since: Only what happened from then on. Left out: since each person's last digest.
        until: Only what happened before then. Left out: until now, for those whose time has come.
        dry_run: Say who would be told; send nothing.
    """
    return cron


class Run:
    """One flow run at work: its tally, and the sentence it ends with."""

    def __init__(self, engine: Engine, workflow: Workflow, flow_run: Any) -> None:
        self.engine = engine
        self.workflow = workflow
        self.flow_run = flow_run
        self.tally = Tally()

    def stopping(self) -> bool:
        """Whether the run was cancelled, or the worker stops."""
        return runtime.is_stopping(str(self.flow_run))

    def cancelled(self) -> bool:
        """Whether an operator cancelled the run: what it holds is not to happen."""
        return runtime.was_cancelled(str(self.flow_run))

    async def drive(self, scope: batch.Scope, *, keep_on: bool = False) -> None:
        """Work until there is nothing left; with `keep_on`, also on what arrives meanwhile."""
        started = quiet_since = time.monotonic()
        while not self.stopping():
            self.engine.bell.clear()
            if await batch.work(self.engine, self.workflow, PrefectStage(), self.tally, scope):
                quiet_since = time.monotonic()
            elif not keep_on or time.monotonic() - quiet_since > IDLE:
                return
            else:
                await _rung_within(self.engine, IDLE / 4)
            if time.monotonic() - started > LONGEST:
                return

    def state(self, said: str | None = None) -> State:
        """How the run ends, with a sentence an operator can act on."""
        tally = self.tally
        if runtime.was_cancelled(str(self.flow_run)):
            words = (
                f"Stopped after {sentence(tally)}; what it held is cancelled. Pause the deployment to hold new ones."
            )
            return Cancelled(message=words)
        failed = tally.endings.get("failed", 0)
        if failed and failed == len(tally.notifications):
            return Failed(message=f"{sentence(tally)}: {tally.failures[0]}")
        if failed:
            return Completed(name="Degraded", message=f"{sentence(tally)}: {tally.failures[0]}")
        return Completed(message=said or sentence(tally))

    @property
    def name(self) -> str:
        """What the run is called once it is known whom it was about."""
        count = len(self.tally.people)
        return f"{self.workflow.id} · {people(count) if count else 'nobody'}"


class _reported:
    """Keeps (flow run, worker) while the block runs, and names the run at its end."""

    def __init__(self, engine: Engine, workflow: Workflow) -> None:
        context = get_run_context()
        flow_run = getattr(context, "flow_run", None)
        assert flow_run is not None
        self.scheduled = bool(flow_run.auto_scheduled)
        self.run = Run(engine, workflow, flow_run.id)

    async def __aenter__(self) -> Run:
        run = self.run
        runtime.began(str(run.flow_run))
        await run.engine.write(alarms.working, run.workflow.id, str(run.flow_run), run.engine.worker, clock.now())
        return run

    async def __aexit__(self, *_: object) -> None:
        run = self.run
        await run.engine.write(alarms.done, str(run.flow_run))
        runtime.ended(str(run.flow_run))
        async with get_client() as client:
            await client.update_flow_run(run.flow_run, name=run.name)


async def _rung_within(engine: Engine, seconds: float) -> None:
    try:
        await asyncio.wait_for(engine.bell.wait(), seconds)
    except TimeoutError:
        return


def people(count: int) -> str:
    """`1 person`, `412 people`."""
    return "1 person" if count == 1 else f"{count} people"


def sentence(tally: Tally) -> str:
    """What a batch came to: `499 told, 12 skipped, 1 failed, 3 waiting`."""
    if not tally.notifications:
        return "Nothing was ready"
    told = sum(count for (_, status), count in tally.decisions.items() if status == "told")
    skipped: dict[str, int] = {}
    for (channel, status), count in tally.decisions.items():
        if status != "told":
            skipped[f"{channel} {status}"] = count
    parts = [f"{people(len(tally.people))}, {told} message{'' if told == 1 else 's'}"]
    parts += [f"{count} × {reason}" for reason, count in sorted(skipped.items())]
    parts += [f"{tally.endings['failed']} failed"] if tally.endings.get("failed") else []
    parts += [f"{tally.waiting} waiting"] if tally.waiting else []
    return ", ".join(parts)
