"""Workflows as Prefect flows: one to start by hand, one for what is ready, one that closes calendar digests."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from prefect import Flow, State, get_client
from prefect.context import get_run_context
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Completed, Failed

from notify import clock
from notify.engine import batch, by_hand, rehearsal, runtime
from notify.engine.calling_off import REASON
from notify.engine.catching_up import caught_up
from notify.engine.context import Engine
from notify.engine.reconcile import consult
from notify.engine.sentences import people, remedy, sentence, stopped
from notify.engine.stage import PrefectStage
from notify.engine.underway import Underway
from notify.engine.work import Tally
from notify.errors import NotifyError
from notify.store import alarms, cancellations, retries
from notify.workflow import Workflow

_log = logging.getLogger("notify.flows")

#: A batch run that goes on for `Engine.linger` without work ends, and after so many seconds in any case.
LONGEST = 60.0


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
        async def work(run: Run) -> State:
            if dry_run:
                return Completed(message=await rehearsal.rehearse(run.engine, run.workflow, payload, to))
            ready = await by_hand.prepare(run.engine, run.workflow, run.flow_run, payload, to, actor)
            await run.drive(run.scope(event=ready.event.uid, before=ready.write))
            if run.cancelled():
                gone = await run.engine.write(cancellations.by_transaction, run.flow_run, REASON, clock.now())
                run.tally.cancelled |= set(gone.notifications)
            await by_hand.show(run.engine, run.flow_run)
            return run.state()

        return await _carried_out(workflow, work)

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
        async def work(run: Run) -> State:
            await run.drive(run.scope(), keep_on=True)
            return run.state()

        return await _carried_out(workflow, work)

    batch_run.__doc__ = f"Work on every notification of {workflow.id} that is ready."
    return batch_run


def _cron(workflow: Workflow) -> Callable[..., Coroutine[Any, Any, State]]:
    async def cron(since: datetime | None = None, until: datetime | None = None, dry_run: bool = False) -> State:
        async def work(run: Run) -> State:
            if dry_run:
                return Completed(message=await rehearsal.rehearse_digest(run.engine, run.workflow, since, until))
            closed: list[int] = []
            await caught_up(run.engine, workflow.id, lambda: run.drive(run.scope()), run.stopping)
            await run.drive(run.scope(before=by_hand.close_calendar(run.engine, run.workflow, since, until, closed)))
            return run.state(await by_hand.digested(run.engine, run.workflow, sum(closed), sentence(run.tally)))

        return await _carried_out(workflow, work)

    cron.__doc__ = f"""{workflow.description}

    Args:
        since: Only what happened from then on. Left out: since each person's last digest.
        until: Only what happened before then. Left out: until now, for those whose time has come.
        dry_run: Say who would be told; send nothing.
    """
    return cron


async def _carried_out(workflow: Workflow, work: Callable[[Run], Awaitable[State]]) -> State:
    """Do it with the workflow as it is now; whatever keeps it from being done is said in a sentence."""
    engine = await runtime.engine()
    async with _reported(engine, engine.registry.workflow(workflow.id)) as run:
        try:
            return await work(run)
        except Exception as error:
            return run.broken(error)


class Run:
    """One flow run at work: its tally, and the sentence it ends with."""

    def __init__(self, engine: Engine, workflow: Workflow, flow_run: Any) -> None:
        self.engine = engine
        self.workflow = workflow
        self.flow_run = str(flow_run)
        self.tally = Tally()
        self._failed_before = True

    def stopping(self) -> bool:
        """Whether the run was cancelled, or the worker stops."""
        return runtime.is_stopping(self.flow_run)

    def cancelled(self) -> bool:
        """Whether an operator cancelled the run: what it holds is not to happen."""
        return runtime.was_cancelled(self.flow_run)

    def scope(
        self, *, event: str | None = None, before: Callable[[sa.Connection], object] | None = None
    ) -> batch.Scope:
        """What it may take: one trigger's, or all that is ready."""
        return batch.Scope(event, before, self.stopping, self.cancelled, consult, self.flow_run)

    async def drive(self, scope: batch.Scope, *, keep_on: bool = False) -> None:
        """Work until there is nothing left, first on what failed when the run ran before.

        With `keep_on`, also on what arrives meanwhile, unless it is held.
        """
        started = quiet_since = time.monotonic()
        now = replace(scope, before=self._take_up(scope.before)) if self._failed_before else scope
        async with Underway() as batches:
            while not (self.stopping() or (keep_on and self.engine.holds(self.workflow.id))):
                self.engine.bell.clear()
                if await batches.work(self.engine, self.workflow, PrefectStage(), self.tally, now):
                    quiet_since = time.monotonic()
                elif not keep_on or time.monotonic() - quiet_since > self.engine.linger:
                    return
                else:
                    await self.engine.rung_within(self.engine.linger / 4)
                now, self._failed_before = scope, False
                if time.monotonic() - started > LONGEST:
                    return

    def _take_up(self, before: Callable[[sa.Connection], object] | None) -> Callable[[sa.Connection], object]:
        def take_up(connection: sa.Connection) -> object:
            retries.take_up(connection, self.engine.environment, self.flow_run)
            return None if before is None else before(connection)

        return take_up

    def state(self, said: str | None = None) -> State:
        """How the run ends, with a sentence an operator can act on."""
        tally = self.tally
        if self.cancelled():
            return Cancelled(message=f"{stopped(tally)}. Pause the deployment to hold new ones.")
        failed = tally.endings.get("failed", 0)
        if failed and failed == len(tally.notifications):
            return Failed(message=f"{sentence(tally)}: {remedy(tally)}")
        if failed:
            return Completed(name="Degraded", message=f"{sentence(tally)}: {remedy(tally)}")
        return Completed(message=said or sentence(tally))

    def broken(self, error: Exception) -> State:
        """The batch could not be worked: what kept it, and what became of what it held."""
        _log.warning("%s could not be worked", self.workflow.id, exc_info=error)
        what = str(error) if isinstance(error, NotifyError) else f"{type(error).__name__}: {error}".rstrip(": ")
        before = f" Until then: {sentence(self.tally)}." if self.tally.notifications else ""
        after = "Nothing is lost: mend the cause and retry this run; it finishes the rest."
        return Failed(message=f"{what.rstrip('.')}.{before} {after}")

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
        runtime.began(run.flow_run)
        await run.engine.write(alarms.working, run.workflow.id, run.flow_run, run.engine.worker, clock.now())
        return run

    async def __aexit__(self, *_: object) -> None:
        run = self.run
        await run.engine.write(alarms.done, run.flow_run)
        runtime.ended(run.flow_run)
        async with get_client() as client:
            with suppress(ObjectNotFound):  # somebody deleted it; its work is in the rows
                await client.update_flow_run(UUID(run.flow_run), name=run.name)
