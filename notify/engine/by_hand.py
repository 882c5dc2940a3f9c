"""What a person starts from the Prefect UI or through its API: triggers, rehearsals, digests closed by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from prefect.artifacts import acreate_table_artifact

from notify import clock, intake, matching
from notify.channels import catalog
from notify.engine import match
from notify.engine.context import Engine
from notify.errors import InvalidInput
from notify.facts import with_history
from notify.matching import Match
from notify.model import Channel, Event, EventKind, Subscriber, new_id
from notify.outcomes import outcomes
from notify.planning import Choices, why_not
from notify.store import closing, events, people, windows
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
    told, reason = await _recipients(engine, workflow, payload, to)
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


async def _recipients(
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


async def rehearse(engine: Engine, workflow: Workflow, payload: Any, to: Sequence[str] | None) -> str:
    """Who would be told and who not, and why, as a sentence and an artifact; nothing is written."""
    told, reason = await _recipients(engine, workflow, payload, to)
    if not told:
        return f"Nobody would be told: {reason}"
    return await _rehearsed(engine, workflow, [str(one) for one in told])


async def _rehearsed(engine: Engine, workflow: Workflow, ids: Sequence[str]) -> str:
    rows = await engine.read(_gates, engine, workflow, ids)
    await _artifact(f"{workflow.id}-rehearsal", rows, "Who would be told (a rehearsal: nothing was sent)")
    reasons = Counter(str(row["reason"]) for row in rows if row["reason"])
    told = {row["person"] for row in rows if not row["reason"]}
    missed = "".join(f", {count} × {reason}" for reason, count in sorted(reasons.items()))
    return f"Rehearsal, nothing sent: {len(told)} would be told, {len(set(ids) - told)} not{missed}"


def _gates(
    connection: sa.Connection, environment: str, engine: Engine, workflow: Workflow, ids: Sequence[str]
) -> list[dict[str, Any]]:
    known = people.load(connection, environment, ids)
    chosen = people.chosen(connection, environment, ids, workflow.id)
    rows: list[dict[str, Any]] = []
    for channel in dict.fromkeys(channel for _, channel in engine.contents.messages(workflow.id)):
        choices = Choices.of(chosen, channel)
        rows += [_gate(workflow, channel, known.get(id_) or Subscriber(id_), choices) for id_ in ids]
    return rows


def _gate(workflow: Workflow, channel: Channel, person: Subscriber, choices: Choices) -> dict[str, Any]:
    reason = why_not(
        person.id,
        channel,
        addresses=catalog.address(channel, person),
        workflow=workflow.preferences,
        critical=workflow.critical,
        choices=choices,
    )
    return {"person": person.id, "channel": channel.value, "would": "skip" if reason else "send", "reason": reason}


async def show(engine: Engine, transaction_id: str) -> None:
    """Leave an artifact with the flow run: person × channel × outcome × reason."""
    found = await engine.read(outcomes, transaction_id)
    rows = [
        {"person": line.subscriber, "channel": line.channel, "outcome": line.status, "reason": line.reason}
        for line in found.lines
    ]
    await _artifact(None, rows, f"What became of {transaction_id}")


async def _artifact(key: str | None, rows: Sequence[dict[str, Any]], description: str) -> None:
    more = f"; {len(rows) - SHOWN} more in the log" if len(rows) > SHOWN else ""
    table = [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows[:SHOWN]]
    await acreate_table_artifact(table=table, key=key, description=description + more)


# --- calendar digests ---------------------------------------------------------------------------


def close_calendar(
    engine: Engine, workflow: Workflow, since: datetime | None, until: datetime | None, closed: list[int]
) -> Callable[[sa.Connection], None]:
    """Closes what is due (or what `since` and `until` ask for) in the claiming transaction; appends how many."""

    def close(connection: sa.Connection) -> None:
        closed.append(
            closing.close_calendar(
                connection, engine.environment, workflow.id, now=clock.now(), since=since, until=until
            )
        )

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


async def rehearse_digest(engine: Engine, workflow: Workflow, since: datetime | None, until: datetime | None) -> str:
    """Who a digest would tell; nothing is closed."""
    ids = await engine.read(closing.would_close, workflow.id, clock.now(), since, until)
    if not ids:
        return "Nothing is due: nobody would be told"
    return await _rehearsed(engine, workflow, ids)
