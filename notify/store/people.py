"""Subscribers and what they chose. Both are upserted; both are read by the thousand."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from notify.model import Channel, JsonObject, Preference, Subscriber
from notify.store import held
from notify.store.bulk import Row, insert_new, upsert
from notify.store.tables import preferences, subscribers
from notify.store.types import among

#: What a subscriber has beside the id, in the order of Subscriber.
FIELDS = ("email", "phone", "first_name", "last_name", "avatar", "locale", "timezone", "data", "channels", "schedule")
#: What says when messages may reach a person.
_HOURS = ("timezone", "schedule")
#: What is known of a person beside what applications say when they save one.
_LIVE = ("online", "online_at")


def save(connection: sa.Connection, environment: str, people: Sequence[Row], now: datetime) -> None:
    """Create or update. Each row has `id` and any of FIELDS; a field that is absent keeps its stored value.

    What waits for the hours of somebody who has others now is looked at again.
    """
    others = _with_other_hours(connection, environment, people)
    by_shape: dict[tuple[str, ...], list[Row]] = {}
    for person in people:
        by_shape.setdefault(tuple(name for name in FIELDS if name in person), []).append(person)
    for shape, rows in by_shape.items():
        upsert(
            connection,
            subscribers,
            [_row(environment, row, now) for row in _last_of_each(rows)],
            [*shape, "updated_at"],
        )
    held.look_again(connection, environment, others, now)


def _with_other_hours(connection: sa.Connection, environment: str, people: Sequence[Row]) -> set[str]:
    """Of known people those whose hours would change; no statement where none are given."""
    given = [row for row in people if any(name in row for name in _HOURS)]
    known = load(connection, environment, [row["id"] for row in given]) if given else {}
    told = [(known.get(row["id"]), row) for row in given]
    return {row["id"] for person, row in told if person is not None and _differ(person, row)}


def _differ(person: Subscriber, row: Row) -> bool:
    return any(row[name] != getattr(person, name) for name in _HOURS if name in row)


def _row(environment: str, person: Row, now: datetime) -> Row:
    defaults: Row = dict.fromkeys(FIELDS) | {"data": {}, "channels": []}
    return defaults | person | {"environment": environment, "created_at": now, "updated_at": now}


def _last_of_each(rows: Sequence[Row]) -> list[Row]:
    """One statement cannot touch a row twice; the later word wins. Sorted, so that two imports never deadlock."""
    return [row for _, row in sorted({row["id"]: row for row in rows}.items())]


def ensure(connection: sa.Connection, environment: str, ids: Sequence[str], now: datetime) -> None:
    """Create those who are unknown, with nothing but their id; known ones are left alone."""
    insert_new(connection, subscribers, [_row(environment, {"id": id_}, now) for id_ in sorted(set(ids))])


def load(connection: sa.Connection, environment: str, ids: Collection[str]) -> dict[str, Subscriber]:
    """These people, by id; an unknown one is absent."""
    mine = sa.and_(subscribers.c.environment == environment, among(subscribers.c.id, set(ids)))
    query = sa.select(subscribers.c.id, *(subscribers.c[name] for name in (*FIELDS, *_LIVE))).where(mine)
    return {row.id: Subscriber(*row) for row in connection.execute(query).all()}


def ids(connection: sa.Connection, environment: str) -> set[str]:
    """Everybody this environment knows."""
    query = sa.select(subscribers.c.id).where(subscribers.c.environment == environment)
    return set(connection.execute(query).scalars())


def count(connection: sa.Connection, environment: str) -> int:
    """How many people this environment knows."""
    query = sa.select(sa.func.count()).select_from(subscribers).where(subscribers.c.environment == environment)
    return connection.execute(query).scalar_one()


def schedule(
    connection: sa.Connection, environment: str, subscriber: str, hours: JsonObject | None, now: datetime
) -> int:
    """Set when messages may reach a person, and look again at what waits for it; returns 0 where nobody has this id."""
    mine = sa.and_(subscribers.c.environment == environment, subscribers.c.id == subscriber)
    values = {"schedule": hours, "updated_at": now}
    found = connection.execute(subscribers.update().where(mine).values(values)).rowcount
    held.look_again(connection, environment, [subscriber], now)
    return found


def presence(connection: sa.Connection, environment: str, said: Mapping[str, bool], now: datetime) -> int:
    """Record who is connected and who is not; returns how many of them are known.

    `online_at` moves only where the word is another one. The rows are locked in order, as by `save`.
    """
    mine = sa.and_(subscribers.c.environment == environment, among(subscribers.c.id, said))
    query = sa.select(subscribers.c.id, subscribers.c.online).where(mine).order_by(subscribers.c.id).with_for_update()
    known = connection.execute(query).all()
    for value in (True, False):
        other = [row.id for row in known if said[row.id] is value and row.online is not value]
        if other:
            change = subscribers.update().where(
                subscribers.c.environment == environment, among(subscribers.c.id, other)
            )
            connection.execute(change.values(online=value, online_at=now))
    return len(known)


def online(connection: sa.Connection, environment: str, ids: Collection[str]) -> set[str]:
    """Which of these people are connected, as was last said."""
    query = sa.select(subscribers.c.id).where(
        subscribers.c.environment == environment, among(subscribers.c.id, ids), subscribers.c.online
    )
    return set(connection.execute(query).scalars())


def choose(connection: sa.Connection, environment: str, choices: Sequence[Preference], now: datetime) -> None:
    """Record choices; the last one for a (person, workflow, channel) stands."""
    rows = {
        (choice.subscriber, choice.workflow or "", choice.channel): {
            "environment": environment,
            "subscriber": choice.subscriber,
            "workflow": choice.workflow or "",
            "channel": choice.channel,
            "enabled": choice.enabled,
            "updated_at": now,
        }
        for choice in choices
    }
    upsert(connection, preferences, [rows[key] for key in sorted(rows)], ["enabled", "updated_at"])


def chosen(connection: sa.Connection, environment: str, people: Sequence[str], workflow: str) -> list[Preference]:
    """What these people chose for this workflow and for all: one statement however many they are."""
    query = sa.select(preferences).where(
        preferences.c.environment == environment,
        among(preferences.c.subscriber, set(people)),
        preferences.c.workflow.in_(["", workflow]),
    )
    return [_preference(row) for row in connection.execute(query).all()]


def choices_of(connection: sa.Connection, environment: str, subscriber: str) -> list[Preference]:
    """Everything one person chose, the choices for all workflows first."""
    query = (
        sa.select(preferences)
        .where(preferences.c.environment == environment, preferences.c.subscriber == subscriber)
        .order_by(preferences.c.workflow, preferences.c.channel)
    )
    return [_preference(row) for row in connection.execute(query).all()]


def _preference(row: Any) -> Preference:
    return Preference(row.subscriber, row.workflow or None, Channel(row.channel), row.enabled)
