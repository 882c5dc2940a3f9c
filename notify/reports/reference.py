"""Counts of the reference workflows: what comments, digests and assignments came to, by the names a report uses.

They know those workflows' events; everything else in this folder knows none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from notify.model import Channel, EventKind, MessageStatus, Verdict
from notify.store.database import Database
from notify.store.tables import events, messages, omissions, subscribers, window_items, windows
from notify.store.windows import CLOSED

ASSIGNED, COMMENTED, COMPLETED = "task/assigned", "task/commented", "task/completed"
COMMENT_DIGEST, DAILY_DIGEST = "comment-digest", "daily-digest"
_E, _O, _W, _M, _I, _S = (table.c for table in (events, omissions, windows, messages, window_items, subscribers))
_SECONDS = _W.rule["seconds"].as_float()


def counts(database: Database, environment: str) -> dict[str, Any]:
    """Everything so far, not a day of it.

    - `events`: accepted events of the application (assigned, commented, completed); not what workflows emit.
    - `assigned`, of these `with_due` and `self_assigned`; `comments`, and `comments_nobody_to_tell` with
      `of_these_<reason>` for each reason there may be.
    - `digest_items`, `task_person_pairs` and `windows_fixed_min` (minutes → windows) of closed comment digests;
      `digest_<minutes>_emails`, `_no_address` and `_opted_out` for the e-mails they led to.
    - `daily_digest_people`: whose daily digest has collected something; `people`, of these with `no_email`.
    """
    with database.read() as connection:
        closed = _windows(connection, environment)
        return {
            **_events(connection, environment),
            **_omissions(connection, environment),
            "digest_items": sum(row.items for row in closed),
            "task_person_pairs": _pairs(connection, environment),
            "windows_fixed_min": {_minutes(row.seconds): row.windows for row in closed},
            **_emails(connection, environment, [_minutes(row.seconds) for row in closed]),
            **_people(connection, environment),
        }


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:g}"


def _events(connection: sa.Connection, environment: str) -> dict[str, int]:
    assigned = _E.name == ASSIGNED
    by_themselves = _E.data["assignerId"].as_string() == _E.data["assigneeId"].as_string()
    has_due = _E.data["dueDate"].as_string().is_not(None)
    query = sa.select(
        sa.func.count().label("events"),
        sa.func.count().filter(assigned).label("assigned"),
        sa.func.count().filter(assigned, has_due).label("with_due"),
        sa.func.count().filter(assigned, by_themselves).label("self_assigned"),
        sa.func.count().filter(_E.name == COMMENTED).label("comments"),
    ).where(
        _E.environment == environment,
        _E.kind == EventKind.EVENT,
        _E.verdict == Verdict.ACCEPTED,
        _E.name.in_([ASSIGNED, COMMENTED, COMPLETED]),
    )
    return {str(name): count for name, count in connection.execute(query).mappings().one().items()}


def _omissions(connection: sa.Connection, environment: str) -> dict[str, int]:
    query = (
        sa.select(_O.reason, sa.func.count())
        .where(_O.environment == environment, _O.workflow == COMMENT_DIGEST)
        .group_by(_O.reason)
    )
    reasons = {"no_recipient": 0, "only_own_comment": 0}
    reasons |= {reason: count for reason, count in connection.execute(query)}
    return {"comments_nobody_to_tell": sum(reasons.values())} | {
        f"of_these_{reason}": count for reason, count in sorted(reasons.items())
    }


def _windows(connection: sa.Connection, environment: str) -> list[Any]:
    """Closed comment digests by length: rows of seconds, windows, items."""
    query = (
        sa.select(_SECONDS.label("seconds"), sa.func.count().label("windows"), sa.func.sum(_W["items"]).label("items"))
        .where(_W.environment == environment, _W.workflow == COMMENT_DIGEST, _W.state == CLOSED)
        .where(_SECONDS.is_not(None))
        .group_by(_SECONDS)
        .order_by(_SECONDS)
    )
    return list(connection.execute(query))


def _pairs(connection: sa.Connection, environment: str) -> int:
    """Distinct (person, task): the digest's key is the task."""
    distinct = (
        sa.select(_W.subscriber, _W.key)
        .where(_W.environment == environment, _W.workflow == COMMENT_DIGEST, _W.state == CLOSED)
        .distinct()
    )
    return connection.execute(sa.select(sa.func.count()).select_from(distinct.subquery())).scalar_one()


def _emails(connection: sa.Connection, environment: str, lengths: list[str]) -> Mapping[str, int]:
    """What became of the e-mails of closed comment digests, by the digest's length."""
    own = sa.and_(_W.environment == _M.environment, _W.id == _M.window)
    sent = _M.status.in_([MessageStatus.SENT, MessageStatus.DELIVERED])
    query = (
        sa.select(
            _SECONDS.label("seconds"),
            sa.func.count().filter(sent).label("emails"),
            sa.func.count().filter(_M.reason == "missing_address").label("no_address"),
            sa.func.count().filter(_M.reason == "opted_out").label("opted_out"),
        )
        .join_from(messages, windows, own)
        .where(_M.environment == environment, _M.workflow == COMMENT_DIGEST, _M.channel == Channel.EMAIL)
        .where(_SECONDS.is_not(None))
        .group_by(_SECONDS)
    )
    found = {_minutes(row.seconds): row for row in connection.execute(query)}
    names = ("emails", "no_address", "opted_out")
    return {f"digest_{length}_{name}": getattr(found.get(length), name, 0) for length in lengths for name in names}


def _people(connection: sa.Connection, environment: str) -> dict[str, int]:
    collected = sa.and_(_I.environment == _W.environment, _I.window == _W.id, _I.withdrawn_at.is_(None))
    daily = (
        sa.select(sa.func.count(_W.subscriber.distinct()))
        .join_from(windows, window_items, collected)
        .where(_W.environment == environment, _W.workflow == DAILY_DIGEST)
    )
    without = sa.func.count().filter(sa.func.coalesce(_S.email, "") == "")
    people = sa.select(sa.func.count().label("people"), without.label("no_email")).where(_S.environment == environment)
    found = connection.execute(people).one()
    return {
        "daily_digest_people": connection.execute(daily).scalar_one(),
        "people": found.people,
        "no_email": found.no_email,
    }
