"""One person's day as a story: what happened to them, in order, at the times of their own clock, with reasons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from notify import clock
from notify.reports import reasons
from notify.store import log, people
from notify.store.database import Database
from notify.timing import zone

#: What a line of the story is about.
TOLD, UNTOLD, COLLECTS, WAITS, READ = "told", "untold", "collects", "waits", "read"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened: `at` in the person's zone, `text` for people, `reason` the log's word if it has one."""

    at: datetime
    kind: str
    text: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Day:
    """A person's day: `zone` is the name of the zone in which `lines` tell the time."""

    person: str
    day: date
    zone: str
    lines: Sequence[Line]


def load(person: str, day: date | None = None, *, database: Database, environment: str) -> Day:
    """The story of one calendar day in the person's own zone, today unless told. UTC where no zone is known."""
    with database.read() as connection:
        known = people.load(connection, environment, [person]).get(person)
        local = zone(known.timezone if known else None)
        day = day or clock.now().astimezone(local).date()
        since, until = _midnights(day, local)
        notifications = log.day_notifications(connection, environment, person, since, until)
        messages = log.day_messages(connection, environment, person, since, until)
    lines = [line for line in story(notifications, messages, local) if since <= line.at < until]
    return Day(person, day, local.key, lines)


def _midnights(day: date, local: ZoneInfo) -> tuple[datetime, datetime]:
    return datetime.combine(day, time(), local), datetime.combine(day + timedelta(days=1), time(), local)


def story(notifications: Sequence[Any], messages: Sequence[Any], local: ZoneInfo) -> list[Line]:
    """Lines in order of time, from rows as `store.log.day_notifications` and `day_messages` give them.

    A digest is two lines however many notifications it merged: when it began to collect, and when it closed.
    """
    lines = list(_digests(notifications))
    told = {message.notification for message in messages if message.status in _TOLD}
    for notification in notifications:
        lines += _of_notification(notification, told=notification.id in told)
    for message in messages:
        lines += _of_message(message)
    # Sorted as instants: local times repeat themselves where the clocks are set back.
    lines.sort(key=lambda line: line.at.astimezone(UTC))
    return [replace(line, at=line.at.astimezone(local)) for line in lines]


def _digests(notifications: Sequence[Any]) -> Iterator[Line]:
    windows = {row.window: row for row in notifications if row.window is not None and row.opened_at is not None}
    for row in windows.values():
        about = f" about {row.key}" if row.key else ""
        if row.closed_at is None:
            yield Line(row.opened_at, COLLECTS, f"{row.workflow} begins to collect{about}")
            yield Line(row.closes_at, WAITS, f"{row.workflow} is to tell what it collected{about}")
        elif row.items:
            yield Line(row.opened_at, COLLECTS, f"{row.workflow} begins to collect{about}")
            yield Line(row.closed_at, COLLECTS, f"{row.workflow} tells {_events(row.items)} at once{about}")


def _events(count: int) -> str:
    return "1 event" if count == 1 else f"{count} events"


def _of_notification(row: Any, *, told: bool) -> Iterator[Line]:
    about = f"{row.workflow} about {row.subject}" if row.subject else row.workflow
    ended: datetime | None = row.finished_at
    if ended is not None and row.status in ("cancelled", "failed"):
        yield Line(ended, UNTOLD, f"{about} {row.status}: {reasons.sentence(row.reason)}", row.reason)
    elif ended is not None and row.status == "completed" and row.reason is not None:
        nothing = "nothing more" if told else "nothing"
        yield Line(ended, UNTOLD, f"{about} told {nothing}: {reasons.sentence(row.reason)}", row.reason)
    elif row.status == "waiting" and row.wake_at is not None:
        yield Line(row.wake_at, WAITS, f"{about} is to wake")


_TOLD = ("sent", "delivered")
_NOT_TOLD = ("skipped", "suppressed", "cancelled", "failed", "bounced", "timeout", "rate_limited", "unknown")


def _of_message(row: Any) -> Iterator[Line]:
    what = f"{row.channel} from {row.workflow}: {_title(row)}"
    if row.status in _NOT_TOLD:
        because = reasons.sentence(row.reason) or row.error or "no reason was kept"
        yield Line(row.created_at, UNTOLD, f"no {row.channel} from {row.workflow}: {because}", row.reason)
    elif row.status in _TOLD:
        yield Line(row.sent_at or row.delivered_at or row.created_at, TOLD, what)
    elif row.status == "held":
        yield Line(row.created_at, WAITS, f"{what} (held: {reasons.sentence(row.reason)})", row.reason)
    else:
        yield Line(row.created_at, WAITS, f"{what} ({row.status})")
    if row.read_at is not None:
        yield Line(row.read_at, READ, f"reads {_title(row)}")


def _title(row: Any) -> str:
    """The subject, or the first line of a body without one, shortened."""
    content: Mapping[str, Any] = row.content or {}
    text = str(content.get("subject") or content.get("body") or "").strip() or str(row.step)
    first = text.splitlines()[0]
    return first if len(first) <= 60 else f"{first[:59]}…"
