"""What would happen: who would be told and who not, and why, as a sentence and an artifact; nothing is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from notify import clock
from notify.channels import catalog
from notify.engine import by_hand
from notify.engine.context import Engine
from notify.model import Channel, Subscriber
from notify.planning import Choices, Reason, why_not
from notify.store import closing, people
from notify.workflow import Workflow

#: Why somebody would not be told, in an operator's words; the one that tells most comes first.
WORDS = {
    Reason.OPTED_OUT: "opted out",
    Reason.OPTED_OUT_OF_ALL: "opted out",
    Reason.WORKFLOW_OFF: "switched off for everybody",
    Reason.NO_INTEGRATION: "no provider for the channel",
    Reason.MISSING_ADDRESS: "no address",
}
_NOBODY = {"no_recipient": "there is no recipient"}


async def rehearse(engine: Engine, workflow: Workflow, payload: Any, to: Sequence[str] | None) -> str:
    """A trigger's rehearsal: `412 would be told, 31 not: 19 opted out, 12 no address`."""
    told, reason = await by_hand.recipients(engine, workflow, payload, to)
    if not told:
        words = _NOBODY.get(str(reason), str(reason or "no_recipient").replace("_", " "))
        return f"Nobody would be told: {words} (dry run: nothing was sent)"
    return await _rehearsed(engine, workflow, [str(one) for one in told])


async def rehearse_digest(engine: Engine, workflow: Workflow, since: datetime | None, until: datetime | None) -> str:
    """Who a digest would tell; nothing is closed."""
    ids = await engine.read(closing.would_close, workflow.id, clock.now(), since, until)
    if not ids:
        return "Nobody would be told: nothing is due (dry run: nothing was sent)"
    return await _rehearsed(engine, workflow, ids)


async def _rehearsed(engine: Engine, workflow: Workflow, ids: Sequence[str]) -> str:
    rows = await engine.read(_gates, engine, workflow, list(dict.fromkeys(ids)))
    await by_hand.artifact(f"{workflow.id}-rehearsal", rows, "Who would be told (a dry run: nothing was sent)")
    return summary(rows)


def summary(rows: Sequence[dict[str, Any]]) -> str:
    """Each person once: told on some channel, or not, for the reason that tells most."""
    told = {row["person"] for row in rows if not row["reason"]}
    missed: dict[str, set[str]] = {}
    for row in rows:
        if row["person"] not in told:
            missed.setdefault(row["person"], set()).add(row["reason"])
    words = list(dict.fromkeys(WORDS.values()))
    reasons = Counter(min(why, key=words.index) for why in missed.values())
    why = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    return f"{len(told)} would be told, {len(missed)} not{': ' if why else ''}{why} (dry run: nothing was sent)"


def _gates(
    connection: sa.Connection, environment: str, engine: Engine, workflow: Workflow, ids: Sequence[str]
) -> list[dict[str, Any]]:
    known = people.load(connection, environment, ids)
    chosen = people.chosen(connection, environment, ids, workflow.id)
    rows: list[dict[str, Any]] = []
    for channel in dict.fromkeys(channel for _, channel in engine.contents.messages(workflow.id)):
        choices = Choices.of(chosen, channel)
        rows += [_gate(engine, workflow, channel, known.get(id_) or Subscriber(id_), choices) for id_ in ids]
    return rows


def _gate(engine: Engine, workflow: Workflow, channel: Channel, person: Subscriber, choices: Choices) -> dict[str, Any]:
    reason = why_not(
        person.id,
        channel,
        addresses=catalog.address(channel, person),
        workflow=workflow.preferences,
        critical=workflow.critical,
        choices=choices,
    )
    if reason is None and channel is not Channel.IN_APP and channel not in engine.providers:
        reason = Reason.NO_INTEGRATION
    told = {"outcome": "would be sent", "reason": ""}
    missed = {"outcome": "would not be sent", "reason": WORDS.get(reason, reason)} if reason else {}
    return {"person": person.id, "channel": channel.value, **told, **missed}
