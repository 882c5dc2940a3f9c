"""A world written by hand through the store, for tests that read it back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa

from notify import matching
from notify.model import Content, Event, EventKind, derive, new_id
from notify.store import bulk, closing, events, inbox, joining, memos, messages, notifications, people, tables
from notify.store.database import Database

T = TypeVar("T")
ENVIRONMENT = "default"
NOON = datetime(2026, 10, 12, 12, 0, tzinfo=UTC)
#: What the workflow of most tests listens to.
COMMENTED = "task/commented"
DIGEST = "comment-digest"
LISTENERS = {COMMENTED: [DIGEST]}


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


QUARTER = minutes(15)


@dataclass
class World:
    """Everything is said to happen at `now`, which tests move."""

    database: Database
    now: datetime = NOON

    def write(self, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        return self.database.transact(lambda connection: work(connection, *args, **kwargs))

    def read(self, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        with self.database.read() as connection:
            return work(connection, ENVIRONMENT, *args, **kwargs)

    def change(self, table: sa.Table, id: str, **values: Any) -> None:
        """Break a row: this is what a fault would have left behind."""
        key = "uid" if table is tables.events else "id"
        self.write(lambda connection: connection.execute(table.update().where(table.c[key] == id).values(**values)))

    def delete(self, table: sa.Table, condition: sa.ColumnElement[bool]) -> None:
        self.write(lambda connection: connection.execute(table.delete().where(condition)))

    # --- events ---------------------------------------------------------------------------------

    def event(self, name: str = COMMENTED, *, matched: bool = True, kind: str = "event", **fields: Any) -> Event:
        data = fields.pop("data", {})
        made = Event(
            uid=new_id(),
            kind=EventKind(kind),
            name=name,
            data=data,
            ts=fields.pop("ts", self.now),
            received_at=self.now,
            **fields,
        )
        self.write(events.accept, ENVIRONMENT, [made])
        if matched:
            self.write(events.mark_matched, ENVIRONMENT, [made.uid], self.now)
        return made

    def omit(self, event: Event, workflow: str = DIGEST, reason: str = "no_recipient") -> None:
        row = {"event": event.uid, "workflow": workflow, "reason": reason, "detail": None, "created_at": self.now}
        self.write(events.omit, ENVIRONMENT, [row])

    # --- notifications --------------------------------------------------------------------------

    def notification(self, event: Event, person: str = "ada", workflow: str = DIGEST, **fields: Any) -> str:
        row = {
            "id": matching.notification_id(ENVIRONMENT, event, workflow, person),
            "workflow": workflow,
            "subscriber": person,
            "event": event.uid,
            "transaction_id": event.transaction_id,
            "ts": event.ts,
            "priority": 1,
            "status": "completed",
            "tries": 0,
            "created_at": self.now,
        } | fields
        self.write(notifications.create, ENVIRONMENT, [row])
        return row["id"]

    def step(self, notification: str, key: str, kind: str, **fields: Any) -> None:
        row = {"notification": notification, "key": key, "kind": kind, "state": "completed", "started_at": self.now}
        self.write(memos.remember, ENVIRONMENT, [row | fields])

    def collect(
        self,
        *commented: Event,
        person: str = "ada",
        key: str = "T1",
        length: timedelta = QUARTER,
        workflow: str = DIGEST,
    ) -> list[str]:
        """Notifications of these events in one open window; returns their ids in order."""
        ids = [self.notification(event, person, workflow, status="running") for event in commented]
        rule = {"seconds": length.total_seconds()}
        wishes = [
            joining.Joining(id_, person, event.uid, event.ts, "burst", key, "fixed", lambda at: at + length, rule)
            for id_, event in zip(ids, commented, strict=True)
        ]
        for id_ in ids:
            self.step(id_, "burst", "digest", state="delayed")
        self.write(joining.join, ENVIRONMENT, workflow, wishes, self.now)
        return ids

    def close(self, at: datetime) -> None:
        """Windows that ended by then close, and what carries them is completed."""
        self.now = at
        self.write(closing.close_due, ENVIRONMENT, DIGEST, horizon=at, now=at)
        ready = sa.select(tables.notifications.c.id).where(tables.notifications.c.status == "ready")
        with self.database.read() as connection:
            ids = list(connection.execute(ready).scalars())
        rows = [{"id": id_, "status": "completed", "reason": None, "error": None} for id_ in ids]
        self.write(notifications.finish, ENVIRONMENT, rows, at)

    def three_in_a_digest(self) -> list[str]:
        """Three comments told as one by in-app and e-mail, the first carries; a fourth event concerned nobody."""
        ids = self.collect(*(self.event(ts=NOON + minutes(minute)) for minute in (0, 1, 2)))
        self.omit(self.event())
        self.close(NOON + minutes(20))
        window = self.window(ids[0])
        self.message(ids[0], "in_app", "delivered", delivered_at=self.now, window=window)
        self.sent(ids[0], window=window)
        return ids

    def window(self, notification: str) -> str:
        query = sa.select(tables.notifications.c.window).where(tables.notifications.c.id == notification)
        with self.database.read() as connection:
            return connection.execute(query).scalar_one()

    # --- messages -------------------------------------------------------------------------------

    def message(self, notification: str, channel: str = "email", status: str = "queued", **fields: Any) -> str:
        step = fields.pop("step", f"comments.{channel}")
        row = {
            "id": matching.message_id(ENVIRONMENT, notification, step),
            "notification": notification,
            "workflow": DIGEST,
            "subscriber": "ada",
            "transaction_id": notification,
            "step": step,
            "channel": channel,
            "priority": 1,
            "status": status,
            "delivery": "at_least_once",
            "attempts": 0,
            "created_at": self.now,
        } | fields
        self.write(bulk.insert_new, tables.messages, [row | {"environment": ENVIRONMENT}])
        return row["id"]

    def attempts(self, message: str, *outcomes: str | None, seconds: float = 0.25) -> None:
        self.delete(tables.attempts, tables.attempts.c.message == message)
        rows = [
            {
                "message": message,
                "number": number,
                "provider": "smtp",
                "started_at": self.now,
                "finished_at": self.now + timedelta(seconds=seconds) if outcome else None,
                "outcome": outcome,
            }
            for number, outcome in enumerate(outcomes, 1)
        ]
        self.write(messages.record_attempts, ENVIRONMENT, rows)

    def sent(self, notification: str, **fields: Any) -> str:
        """An e-mail a provider took at its first call."""
        id_ = self.message(notification, status="sent", sent_at=self.now, **fields)
        self.attempts(id_, "accepted")
        return id_

    def told(self, person: str = "ada", **fields: Any) -> str:
        """A message of its own event and notification; returns its id."""
        notification = self.notification(self.event(), person, fields.get("workflow", DIGEST))
        return self.message(notification, subscriber=person, **fields)

    def read_message(self, message: str, person: str = "ada") -> None:
        self.write(inbox.mark, ENVIRONMENT, person, [message], read=True, now=self.now)

    def people(self, rows: Sequence[dict[str, Any]]) -> None:
        self.write(people.save, ENVIRONMENT, list(rows), self.now)


def content(subject: str, body: str = "…") -> dict[str, Any]:
    made = Content(subject, body)
    return {"subject": made.subject, "body": made.body, "text": None, "extra": {}}


def chosen_id(beginning: str, number: int = 1) -> str:
    """An id that begins as told."""
    return beginning + derive("chosen", str(number))[len(beginning) :]
