"""What of people's budgets is spent: counted from the log, so that a budget that is new counts what went before it.

A message counts from when it was made; one that was held counts from when it was let go.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from notify.model import INTERRUPTING, MessageStatus
from notify.store import decisions
from notify.store.bulk import given
from notify.store.tables import messages, subscribers
from notify.store.types import among

_M, _S = messages.c, subscribers.c
#: Messages that reach nobody, or not yet.
_UNCOUNTED = (MessageStatus.HELD, MessageStatus.SKIPPED, MessageStatus.SUPPRESSED, MessageStatus.CANCELLED)


def lock(connection: sa.Connection, environment: str, people: Collection[str]) -> None:
    """Let nobody else spend of these people's budgets until the transaction ends. On SQLite nobody can."""
    if connection.dialect.name == "postgresql":
        mine = sa.and_(_S.environment == environment, among(_S.id, set(people)))
        # In the order in which everybody else writes people, which is no language's.
        connection.execute(sa.select(_S.id).where(mine).order_by(sa.collate(_S.id, "C")).with_for_update())


def spent(
    connection: sa.Connection,
    environment: str,
    people: Collection[str],
    since: datetime,
    *,
    due_by: datetime | None = None,
) -> list[Any]:
    """Messages to these people that count, from after `since`: rows of subscriber, channel, at.

    With `due_by` those held until then are among them: their turn has come before anybody's who is new.
    """
    mine = sa.and_(_M.environment == environment, _M.channel.in_(INTERRUPTING))
    counted = sa.and_(mine, _theirs(connection, people), _M.status.not_in(_UNCOUNTED), sa.not_(decisions.UNMADE))
    made = sa.select(*_message(_M.created_at)).where(counted, _M.released_at.is_(None), _M.created_at > since)
    released = sa.select(*_message(_M.released_at)).where(counted, _M.released_at > since)
    parts = [made, released]
    if due_by is not None:
        due = sa.and_(mine, among(_M.subscriber, set(people)), _M.status == MessageStatus.HELD)
        at = sa.literal(due_by, _M.created_at.type)
        parts.append(sa.select(*_message(at)).where(due, _M.next_attempt_at <= due_by))
    return list(connection.execute(sa.union_all(*parts)))


def _theirs(connection: sa.Connection, people: Collection[str]) -> sa.ColumnElement[bool]:
    """Whether a message is to one of them. SQLite begins with them only in a join, and else with everybody's since."""
    if connection.dialect.name == "postgresql":
        return among(_M.subscriber, set(people))
    asked = given(connection, messages, [{"subscriber": one} for one in sorted(set(people))], "subscriber")
    return _M.subscriber == asked.c.subscriber


def _message(at: sa.ColumnElement[datetime]) -> list[sa.ColumnElement[Any]]:
    return [_M.subscriber, _M.channel, at.label("at")]
