"""What the database says of a run of digests: how far it is, when its phases ended, and whether everything is there."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from tests.benchmarks import digest_load

#: The first that is left, in the order of an index. Asked whether any is left, PostgreSQL reads the table instead once
#: its statistics say that many are, and where few are left, it reads all of it.
_UNMATCHED = """
SELECT ts FROM events WHERE environment = 'default' AND matched_at IS NULL ORDER BY ts LIMIT 1"""
_READY = """
SELECT ts FROM notifications WHERE environment = 'default' AND workflow = 'page-changes' AND status = 'ready'
{which} ORDER BY priority DESC, ts LIMIT 1"""
_RUNNING = """
SELECT lease_until FROM notifications WHERE environment = 'default' AND status = 'running'
{which} ORDER BY lease_until LIMIT 1"""
_OPEN = """
SELECT closes_at FROM windows WHERE environment = 'default' AND workflow = 'page-changes' AND state = 'open'
ORDER BY closes_at LIMIT 1"""
_QUEUED = """
SELECT next_attempt_at FROM messages WHERE environment = 'default' AND status = 'queued'
ORDER BY next_attempt_at LIMIT 1"""


def _none(*queries: str, which: str = "") -> str:
    return f"SELECT {' AND '.join(f'({query.format(which=which)}) IS NULL' for query in queries)}"


_JOINED = _none(_UNMATCHED, _READY, _RUNNING, which='AND "window" IS NULL')
_OVER = _none(_UNMATCHED, _READY, _RUNNING, _OPEN, _QUEUED)
_INSTANTS = """
SELECT (SELECT min(closed_at) FROM windows WHERE closed_at >= %(since)s),
       greatest((SELECT max(finished_at) FROM notifications WHERE created_at >= %(since)s),
                (SELECT max(coalesce(delivered_at, sent_at)) FROM messages WHERE created_at >= %(since)s))"""
_TOLD = """
WITH told AS (
    SELECT w.id, w.items, m.channel, count(m.id) AS messages
    FROM windows w
    LEFT JOIN messages m ON m.environment = w.environment AND m.notification = w.carrier
                        AND m.status IN ('sent', 'delivered')
    WHERE w.environment = 'default' AND w.state = 'closed' AND w.closed_at >= %(since)s
    GROUP BY w.id, w.items, m.channel)
SELECT (SELECT count(*) FROM windows WHERE closed_at >= %(since)s) AS windows,
       (SELECT sum(items) FROM windows WHERE closed_at >= %(since)s) AS items,
       (SELECT count(*) FROM messages WHERE created_at >= %(since)s) AS messages,
       count(*) FILTER (WHERE channel = 'in_app' AND messages = 1 AND items = %(each)s) AS in_app,
       count(*) FILTER (WHERE channel = 'email' AND messages = 1 AND items = %(each)s) AS email
FROM told"""
_ENDED = """
SELECT status, count(*) FROM notifications WHERE environment = 'default' AND created_at >= %(since)s GROUP BY status"""


class Rows:
    """One database, from `since` on; before that is the warm-up."""

    def __init__(self, connection: psycopg.Connection, since: datetime) -> None:
        self.connection = connection
        self.values: dict[str, Any] = {"since": since, "each": digest_load.WINDOW}

    def is_joined(self) -> bool:
        """Whether every event waits in a window, or did."""
        return bool(self._one(_JOINED)[0])

    def is_over(self) -> bool:
        """Whether nothing is left to do."""
        return bool(self._one(_OVER)[0])

    def instants(self) -> tuple[datetime, datetime]:
        """When the first window closed, and when the last message or ending was recorded."""
        first, last = self._one(_INSTANTS)
        return first, last

    def check(self, events: int) -> None:
        """Every event is in a window, every window is full and told once on each channel. RuntimeError otherwise."""
        windows = digest_load.windows(events)
        wanted = (windows, events, 2 * windows, windows, windows)
        ended = {"completed": windows, "merged": events - windows}
        found = self._one(_TOLD), dict(self._all(_ENDED))
        if found != (wanted, ended):
            raise RuntimeError(f"windows, items, messages, told in-app, told by e-mail; endings: {found}, not {wanted}")

    def _one(self, query: str) -> tuple:
        (found,) = self._all(query)
        return found

    def _all(self, query: str) -> list[tuple]:
        return self.connection.execute(query.encode(), self.values).fetchall()
