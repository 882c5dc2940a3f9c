"""What a person starts from the Prefect UI or through its API: triggers, rehearsals, digests closed by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from prefect.artifacts import acreate_table_artifact

from notify import clock, intake, matching
from notify.engine import match
from notify.engine.context import Engine
from notify.errors import InvalidInput
from notify.facts import with_history
from notify.matching import Match
from notify.model import Event, EventKind, new_id
from notify.outcomes import outcomes
from notify.store import closing, events, windows
from notify.workflow import Workflow

#: Rows an artifact shows; the log has them all.
SHOWN = 1000


@dataclass(frozen=True, slots=True)
class Prepared:
    """A trigger checked and resolved, ready to be written with the claim of its notifications."""

    engine: Engine
    event: Event
    match: Match

    def write(self, connection: sa.Connection) -> None:
        """Store it; a flow run that runs again finds its own trigger and decides nothing twice."""
        environment = self.engine.environment
        events.accept(connection, environment, [self.event])
        if events.is_unmatched(connection, environment, self.event.uid):
            match.write_page(connection, environment, self.engine, [self.event], [self.match])


async def prepare(
    engine: Engine, workflow: Workflow, flow_run: str, payload: Any, to: Sequence[str] | None, actor: str | None
) -> Prepared:
    """The flow run's own trigger: its id is the transaction id."""
    told, reason = await recipients(engine, workflow, payload, to)
    event = intake.make_trigger(
        engine.environment,
        workflow.id,
        clock.now(),
        to=told,
        payload=payload,
        model=workflow.payload,
        transaction_id=flow_run,
        actor=actor,
    )
    found = matching.concerning(event, workflow.id, event.data["to"])
    return Prepared(engine, event, found if told else Match(event, workflow.id, reason=reason or "no_recipient"))


async def recipients(
    engine: Engine, workflow: Workflow, payload: Any, to: Sequence[str] | None
) -> tuple[list[Any], str | None]:
    """Those named, or whom the workflow itself says the payload concerns."""
    if to:
        return list(to), None
    if workflow.to is None:
        raise InvalidInput(
            field="to", problem="is empty", remedy="Name subscriber ids: the workflow knows nobody itself"
        )
    data = intake.plain(payload)
    now = clock.now()
    name = workflow.on[0] if workflow.on else workflow.id
    pretended = Event(uid=new_id(), kind=EventKind.EVENT, name=name, data=data, ts=now, received_at=now)
    with with_history(engine.history()):
        (found,) = await match.resolved(workflow, [pretended])
    if found.reason in ("resolver_failed", "invalid_recipient"):
        raise InvalidInput(field="to", problem=str(found.detail), remedy="Name subscriber ids, or mend the resolver")
    return [person["id"] for person in found.people], found.reason


async def show(engine: Engine, transaction_id: str) -> None:
    """Leave an artifact with the flow run: person × channel × outcome × reason."""
    found = await engine.read(outcomes, transaction_id)
    rows = [
        {"person": line.subscriber, "channel": line.channel, "outcome": line.status, "reason": line.reason}
        for line in found.lines
    ]
    await artifact(None, rows, f"What became of {transaction_id}")


async def artifact(key: str | None, rows: Sequence[dict[str, Any]], description: str) -> None:
    more = f"; {len(rows) - SHOWN} more in the log" if len(rows) > SHOWN else ""
    table = [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows[:SHOWN]]
    await acreate_table_artifact(table=table, key=key, description=description + more)


# --- calendar digests ---------------------------------------------------------------------------


def close_calendar(
    engine: Engine, workflow: Workflow, since: datetime | None, until: datetime | None, closed: list[int]
) -> Callable[[sa.Connection], int]:
    """Closes what is due (or what `since` and `until` ask for) in the claiming transaction; appends how many."""

    def close(connection: sa.Connection) -> int:
        count = closing.close_calendar(
            connection, engine.environment, workflow.id, now=clock.now(), since=since, until=until
        )
        closed.append(count)
        return count

    return close


async def digested(engine: Engine, workflow: Workflow, closed: int, said: str) -> str:
    """How a digest run ends: who was told, or that nothing was due, and what still collects."""
    open_ = await engine.read(windows.collecting, workflow.id)
    still = (
        f"{open_.people} still collecting, the next until {open_.closes_at:%-d %b %H:%M} UTC"
        if open_.people
        else ("nothing collects since the last digest")
    )
    return (
        f"{closed} digest{'' if closed == 1 else 's'}: {said}; {still}"
        if closed
        else (f"Nothing due, nothing sent: {still}")
    )
