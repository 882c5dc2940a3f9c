"""Notifications that wait, made where they are kept: rows as a worker leaves them when a body awaits `sleep_until`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.rows import dict_row

from notify.timing import alarm_bucket
from tests.benchmarks import crowd_rows

WORKFLOW, STEP = "appointment", "then"
#: People who have appointments, and notifications that share an event.
PEOPLE, TOGETHER = 100_000, 100
#: Rows of one statement: progress can be told, and a Ctrl-C is obeyed.
PAGE = 50_000
_EVENTS = """
INSERT INTO events (environment, uid, kind, name, id, ts, received_at, data, verdict, matched_at)
SELECT 'default', uid, 'trigger', %(workflow)s, uid::text, now(), now(),
       jsonb_build_object('to', '[]'::jsonb, 'payload', jsonb_build_object('title', 'The dentist', 'at', %(at)s::text)),
       'accepted', now()
FROM (SELECT gen_random_uuid() AS uid FROM generate_series(1, %(events)s)) AS made
RETURNING uid"""
_NOTIFICATIONS = """
WITH told AS (SELECT uid, place - 1 AS place FROM unnest(%(uids)s::uuid[]) WITH ORDINALITY AS u (uid, place)),
     made AS (
    INSERT INTO notifications (environment, id, workflow, subscriber, event, transaction_id, ts, priority, status,
                               version, wake_at, waited_at, tries, created_at, started_at)
    SELECT 'default', gen_random_uuid(), %(workflow)s,
           'person-' || lpad(((%(start)s + n) %% %(people)s)::text, 7, '0'), uid, uid::text, now(), 1, 'waiting',
           %(version)s, %(first)s::timestamptz + %(span)s::interval * random(), now(), 0, now(), now()
    FROM generate_series(0, %(count)s - 1) AS n JOIN told ON told.place = n / %(together)s
    RETURNING id, wake_at)
INSERT INTO steps (environment, notification, key, kind, state, value, started_at)
SELECT 'default', id, %(step)s, %(kind)s, 'delayed', jsonb_build_object('slept', true, 'until', wake_at), now()
FROM made"""
_BUCKETS = """
SELECT DISTINCT date_bin(%s, wake_at, 'epoch') FROM notifications
WHERE environment = 'default' AND workflow = %s AND status = 'waiting' AND wake_at BETWEEN %s AND %s"""
_COMPARED = (
    ("notifications", "id", ("status", "version", "priority", "tries")),
    ("steps", "notification", ("key", "kind", "state")),
)
_ALARMS = "INSERT INTO alarms (environment, id, workflow, bucket) VALUES ('default', %s, %s, %s) ON CONFLICT DO NOTHING"


class Sleepers:
    """The waiting rows of one database. `like` is one that a worker left: the others are made to its pattern."""

    def __init__(self, url: str, like: Mapping[str, Any]) -> None:
        self.url = url
        self.like = like
        self.made = 0

    def put(self, count: int, first: datetime, span: timedelta) -> None:
        """So many more, which want to wake within `span` from `first`, with their alarms."""
        if not self.made:
            crowd_rows.put(self.url, PEOPLE)
        width = _width(first, span)
        with psycopg.connect(self.url, autocommit=True) as connection:
            for start in range(0, count, PAGE):
                self._page(connection, min(PAGE, count - start), first, span)
            for (bucket,) in connection.execute(_BUCKETS, [width, WORKFLOW, first, first + span]).fetchall():
                instant = alarm_bucket(bucket + width, datetime.now(UTC))
                connection.execute(_ALARMS, [str(uuid4()), WORKFLOW, instant])
            connection.execute("VACUUM ANALYZE notifications, steps, events, alarms")

    def _page(self, connection: psycopg.Connection, count: int, first: datetime, span: timedelta) -> None:
        at = (first + span).isoformat()
        asked: dict[str, Any] = {"workflow": WORKFLOW, "at": at, "events": -(-count // TOGETHER)}
        uids = [uid for (uid,) in connection.execute(_EVENTS, asked).fetchall()]
        asked = {
            "workflow": WORKFLOW,
            "uids": uids,
            "start": self.made,
            "people": PEOPLE,
            "together": TOGETHER,
            "count": count,
            "first": first,
            "span": span,
            "step": STEP,
            "kind": self.like["kind"],
            "version": self.like["version"],
        }
        connection.execute(_NOTIFICATIONS, asked)
        self.made += count


def _width(first: datetime, span: timedelta) -> timedelta:
    """The stretch of one alarm: a second within the hour, an hour beyond."""
    near = first + span - datetime.now(UTC) < timedelta(hours=1)
    return timedelta(seconds=1) if near else timedelta(hours=1)


def differences(url: str, left_by_a_worker: str) -> list[str]:
    """In which columns a row made here is unlike one that a worker left: null or not, and the words they share."""
    found: list[str] = []
    for table, key, words in _COMPARED:
        theirs = _row(url, f"SELECT * FROM {table} WHERE {key} = %s", left_by_a_worker)
        ours = _row(url, f"SELECT * FROM {table} WHERE {key} <> %s LIMIT 1", left_by_a_worker)
        shown = [(name, theirs[name], ours[name]) for name in theirs]
        found += [
            f"{table}.{name}"
            for name, one, other in shown
            if (one is None) != (other is None) or (name in words and one != other)
        ]
    return found


def _row(url: str, query: str, id_: str) -> Mapping[str, Any]:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        found = connection.execute(query.encode(), [id_]).fetchone()
    assert found is not None, query
    return found
