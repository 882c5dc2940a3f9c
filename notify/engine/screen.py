"""The demo's last screen: one person's day with reasons, the delivery table, what waits, and what to try next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import sqlalchemy as sa
from rich.console import Group, RenderableType
from rich.text import Text

from notify import clock
from notify.engine.context import Engine
from notify.reports import present, story
from notify.reports.delivery import EXPLANATION, delivery
from notify.store.tables import events, messages, notifications

#: Lines of the person's story that fit.
STORY = 13
_N = notifications.c


class Upcoming(Protocol):
    """A scheduled flow run."""

    @property
    def name(self) -> str: ...
    @property
    def at(self) -> datetime: ...


def screen(engine: Engine, waiting: Sequence[Upcoming]) -> RenderableType:
    """At most 40 lines of 100 columns."""
    environment, database = engine.environment, engine.database
    with database.read() as connection:
        person = _most_told(connection, environment)
        example = _skipped(connection, environment)
        endings = _endings(connection, environment)
        happened = connection.execute(_count(environment)).scalar_one()
    day = story.load(person, database=database, environment=environment)
    report = delivery(database=database, environment=environment)
    return Group(
        Text(f"{happened} events became messages through Prefect flows. {endings}", style="bold"),
        *_story(day),
        present.delivery_table(report, EXPLANATION),
        *_waiting(waiting),
        Text("Next:", style="bold"),
        *(Text(f"  {command}") for command in _commands(example, person)),
    )


def _count(environment: str) -> sa.Select[Any]:
    return sa.select(sa.func.count()).select_from(events).where(events.c.environment == environment)


def _most_told(connection: sa.Connection, environment: str) -> str:
    """Whoever's day shows the most kinds of endings."""
    kinds = sa.func.count(sa.distinct(_N.workflow + sa.func.coalesce(_N.reason, "")))
    query = (
        sa.select(_N.subscriber)
        .where(_N.environment == environment)
        .group_by(_N.subscriber)
        .order_by(kinds.desc(), _N.subscriber)
    )
    return connection.execute(query.limit(1)).scalar_one()


def _skipped(connection: sa.Connection, environment: str) -> str:
    """A message that was not sent: the most interesting one to ask about."""
    query = (
        sa.select(messages.c.id)
        .where(messages.c.environment == environment, messages.c.status == "skipped")
        .order_by(messages.c.created_at.desc())
    )
    return connection.execute(query.limit(1)).scalar_one()


def _endings(connection: sa.Connection, environment: str) -> str:
    """How the reminders ended: `Reminders: 2 sent, 1 completed, …`."""
    query = (
        sa.select(_N.reason, sa.func.count())
        .where(_N.environment == environment, _N.workflow.in_(["deadline-reminder", "deadline-urgent"]))
        .where(_N.finished_at.is_not(None), sa.func.coalesce(_N.reason, "") != "no_due_date")
        .group_by(_N.reason)
        .order_by(sa.func.count().desc())
    )
    counts = [f"{count} {reason or 'sent'}" for reason, count in connection.execute(query)]
    return f"Reminders: {', '.join(counts)}."


def _story(day: Any) -> list[RenderableType]:
    title = Text(f"{day.person}'s day, in {day.zone}", style="bold cyan")
    lines = [line for line in day.lines if line.kind != story.COLLECTS]
    shown = lines if len(lines) <= STORY else lines[: STORY - 1]
    rows = [_cut(Text(f"  {line.at:%H:%M:%S}  {line.text}")) for line in shown]
    if len(shown) < len(lines):
        rows.append(Text(f"  … and {len(lines) - len(shown)} more: notify log --person {day.person}", style="dim"))
    return [title, *rows]


def _cut(line: Text) -> Text:
    line.truncate(98, overflow="ellipsis")
    return line


def _waiting(waiting: Sequence[Upcoming]) -> list[RenderableType]:
    now = clock.now()
    lines = [Text(f"  {one.name}  (in {(one.at - now).total_seconds() / 60:.0f} min)") for one in waiting[:3]]
    return [Text("Still waiting, each as a scheduled flow run:", style="bold"), *map(_cut, lines)] if lines else []


def _commands(example: str, person: str) -> list[str]:
    return [f"notify why {example}", f"notify log --person {person} -n 10", "notify dev"]
