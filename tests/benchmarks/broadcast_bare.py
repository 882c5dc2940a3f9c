"""A broadcast by hand: what this machine could do.

Page after page of people by keyset, the same compiled template for each, and one transaction a page: messages and
notifications by COPY, into the store's own tables and indexes, and the cursor's advance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import orjson
import psycopg

from notify.matching import message_id
from notify.model import Channel, Subscriber, derive, new_id
from notify.rendering.templates import Templates
from notify.store import schema
from notify.store.database import Database
from tests.benchmarks.site import OWN_FLOWS

PAGE = 1000
_EVERYBODY = "default"
_PEOPLE = """
SELECT id, email, first_name, locale, timezone FROM subscribers
WHERE environment = %s AND id > %s ORDER BY id LIMIT %s"""
_NOTIFICATIONS = """
COPY notifications (environment, id, workflow, subscriber, event, transaction_id, ts, priority, status, version, tries,
                    created_at, started_at, finished_at) FROM STDIN"""
_MESSAGES = """
COPY messages (environment, id, notification, workflow, subscriber, transaction_id, step, channel, priority, status,
               content, delivery, attempts, created_at, sent_at, delivered_at) FROM STDIN"""
_CURSOR = "UPDATE fanouts SET cursor = %s, people = people + %s WHERE environment = %s AND id = %s"
_BEGUN = """
INSERT INTO fanouts (environment, id, event, workflow, transaction_id, ts, priority, cursor, as_of, state, people)
VALUES (%s, %s, %s, %s, %s, %s, 1, '', %s, 'open', 0)"""


class Pipeline:
    """One database with the store's schema; each `run` reaches everybody in it once."""

    def __init__(self, url: str, workflow: str, step: str, app_url: str) -> None:
        self.url = url
        self.workflow, self.step = workflow, step
        with_driver = Database(url.replace("postgresql:", "postgresql+psycopg:", 1))
        schema.upgrade(with_driver)
        with_driver.close()
        templates = Templates([OWN_FLOWS / "templates"], {"app_url": app_url})
        self.template = templates.find(workflow, step, Channel.IN_APP, None)

    def run(self, payload: Mapping[str, Any]) -> float:
        """Seconds from the start to the last commit."""
        began = monotonic()
        event, fanout, now = new_id(), new_id(), datetime.now(UTC)
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(_BEGUN, [_EVERYBODY, fanout, event, self.workflow, event, now, now])
            cursor = ""
            while people := connection.execute(_PEOPLE, [_EVERYBODY, cursor, PAGE]).fetchall():
                cursor = people[-1][0]
                self._page(connection, event, people, payload)
                connection.execute(_CURSOR, [cursor, len(people), _EVERYBODY, fanout])
                connection.execute("COMMIT")
            connection.execute("UPDATE fanouts SET state = 'done', finished_at = now() WHERE id = %s", [fanout])
        return monotonic() - began

    def _page(
        self, connection: psycopg.Connection, event: str, people: Sequence[tuple[Any, ...]], payload: Mapping[str, Any]
    ) -> None:
        """Render before the transaction, which stays open for the cursor."""
        now = datetime.now(UTC)
        notifications: list[tuple[Any, ...]] = []
        messages: list[tuple[Any, ...]] = []
        for id_, email, first_name, locale, timezone in people:
            person = Subscriber(id_, email=email, first_name=first_name, locale=locale, timezone=timezone)
            content = self.template.render({"subscriber": person, "payload": payload, "workflow": self.workflow})
            own = derive("notification", _EVERYBODY, event, self.workflow, id_)
            told = (_EVERYBODY, own, self.workflow, id_, event, event, now, 1, "completed", None, 0, now, now, now)
            notifications.append(told)
            messages.append(self._message(own, id_, event, orjson.dumps(asdict(content)).decode(), now))
        connection.execute("BEGIN")
        _copy(connection, _NOTIFICATIONS, notifications)
        _copy(connection, _MESSAGES, messages)

    def _message(self, own: str, person: str, event: str, content: str, now: datetime) -> tuple[Any, ...]:
        key = f"{self.step}.{Channel.IN_APP.value}"
        head = (_EVERYBODY, message_id(_EVERYBODY, own, key), own, self.workflow, person, event, key, "in_app")
        return (*head, 1, "delivered", content, "at_least_once", 0, now, now, now)


def _copy(connection: psycopg.Connection, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
    with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        for row in rows:
            copy.write_row(row)
