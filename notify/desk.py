"""People, their choices and their inbox, as an application reads and changes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib import import_module
from typing import Any

from notify import clock, intake
from notify.errors import NotFound
from notify.model import JsonObject, Preference, Subscriber, is_id
from notify.store import inbox, people
from notify.store.database import Database


@dataclass(frozen=True)
class Subscribers:
    """The people of one environment."""

    database: Database
    environment: str

    def save(self, raw: Iterable[Mapping[str, Any]]) -> int:
        """Create or update people from `{"subscriberId": …, …, "preferences": […]}`; returns how many.

        A field that is left out keeps its stored value.
        """
        parsed = [intake.parse_subscriber(one, f"subscribers[{place}]") for place, one in enumerate(raw)]
        now = clock.now()
        with self.database.write() as connection:
            people.save(connection, self.environment, [row for row, _ in parsed], now)
            people.choose(connection, self.environment, [one for _, choices in parsed for one in choices], now)
        return len(parsed)

    def get(self, subscriber: str) -> Subscriber:
        """One person, or NotFound."""
        with self.database.read() as connection:
            found = people.load(connection, self.environment, [subscriber]).get(subscriber)
        if found is None:
            raise _unknown(subscriber)
        return found

    def schedule(self, subscriber: str, hours: Any) -> JsonObject | None:
        """When messages may reach a person: weekly hours in their own zone, or None for always; returns what is kept.

        Hours are `{"isEnabled": true, "weeklySchedule": {…}}` or `{"mon-fri": "09:00-17:00"}`. NotFound if nobody has
        this id. What waits for them is looked at again.
        """
        kept = intake.parse_schedule(hours, "schedule")
        with self.database.write() as connection:
            if not people.schedule(connection, self.environment, subscriber, kept, clock.now()):
                raise _unknown(subscriber)
        return kept

    def online(self, subscriber: str, connected: bool) -> None:
        """Whether a person is connected to the application now, or NotFound."""
        if not self.presence({subscriber: connected}):
            raise _unknown(subscriber)

    def presence(self, connected: Mapping[str, bool]) -> int:
        """Who is connected now and who is not, by id; returns how many of them are known, others are passed over."""
        said = intake.parse_presence(connected)
        with self.database.write() as connection:
            return people.presence(connection, self.environment, said, clock.now())


def _unknown(subscriber: str) -> NotFound:
    return NotFound(what="subscriber", id=subscriber, remedy="Import people with `notify subscribers import`.")


@dataclass(frozen=True)
class Preferences:
    """What people chose."""

    database: Database
    environment: str

    def set(self, subscriber: str, workflow: str | None, channel: str, enabled: bool) -> Preference:
        """One choice; `workflow` None is for every workflow."""
        choice = Preference(subscriber, workflow, intake.channel(channel, "channel"), enabled)
        with self.database.write() as connection:
            people.choose(connection, self.environment, [choice], clock.now())
        return choice

    def of(self, subscriber: str) -> list[Preference]:
        """Everything one person chose; what is not listed is on."""
        with self.database.read() as connection:
            return people.choices_of(connection, self.environment, subscriber)


@dataclass(frozen=True)
class Reports:
    """The notification log as pandas frames and chains of reasons; pandas is loaded on first use."""

    database: Database
    environment: str

    def delivery(self, since: datetime | None = None, until: datetime | None = None) -> Any:
        """A DataFrame, a row a channel, of messages created in [since, until): the last 24 hours unless told."""
        report = import_module("notify.reports.delivery")
        return report.delivery(since, until, database=self.database, environment=self.environment)

    def why(self, message: str) -> Any:
        """The chain of reasons of one message or notification, by id or its first characters."""
        return import_module("notify.reports.why").why(message, database=self.database, environment=self.environment)


@dataclass(frozen=True)
class InboxItem:
    """One in-app message."""

    id: str
    workflow: str
    subject: str | None
    body: str
    created_at: datetime
    seen_at: datetime | None
    read_at: datetime | None
    extra: Mapping[str, Any]

    @property
    def is_read(self) -> bool:
        """Whether the person has read it."""
        return self.read_at is not None

    def as_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Inbox:
    """One person's in-app messages."""

    database: Database
    environment: str
    subscriber: str

    def list(self, *, unread: bool = False, limit: int = 20, offset: int = 0) -> list[InboxItem]:
        """The newest first."""
        with self.database.read() as connection:
            rows = inbox.items(connection, self.environment, self.subscriber, unread=unread, limit=limit, offset=offset)
        return [_item(row) for row in rows]

    def count(self, *, unread: bool = True) -> int:
        """How many there are, the unread ones unless asked otherwise."""
        with self.database.read() as connection:
            return inbox.count(connection, self.environment, self.subscriber, unread=unread)

    def read(self, id: str) -> None:
        """Mark one as read, and seen; NotFound if this person has no such message."""
        self._mark(id, read=True)

    def unread(self, id: str) -> None:
        """Mark one as not read; that it was seen stays."""
        self._mark(id, read=False)

    def seen(self, id: str) -> None:
        """Mark one as seen."""
        self._mark(id, read=None)

    def _mark(self, id: str, *, read: bool | None) -> None:
        ids = [id] if is_id(id) else []
        with self.database.write() as connection:
            found = inbox.mark(connection, self.environment, self.subscriber, ids, read=read, now=clock.now())
        if not found:
            remedy = f"List them with `notify log --person {self.subscriber} --channel in_app`."
            raise NotFound(what=f"in-app message of {self.subscriber}", id=id, remedy=remedy)


def _item(row: Any) -> InboxItem:
    content = row.content
    return InboxItem(
        row.id,
        row.workflow,
        content["subject"],
        content["body"],
        row.created_at,
        row.seen_at,
        row.read_at,
        content.get("extra", {}),
    )
