"""Delivery, counted by the database: a row a workflow and channel, however many messages there are."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from notify.model import MessageStatus
from notify.store.tables import messages
from notify.store.types import seconds_between

_M = messages.c
#: Each status is counted in exactly one of these, so they add up to the total.
GROUPS = {
    "delivered": (MessageStatus.DELIVERED,),
    "sent": (MessageStatus.SENT,),
    "failed": (MessageStatus.FAILED, MessageStatus.BOUNCED, MessageStatus.TIMEOUT, MessageStatus.RATE_LIMITED),
    "skipped": (MessageStatus.SKIPPED, MessageStatus.SUPPRESSED, MessageStatus.CANCELLED),
    "queued": (MessageStatus.QUEUED, MessageStatus.HELD),
    "unknown": (MessageStatus.UNKNOWN,),
}


def delivery(
    connection: sa.Connection,
    environment: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    workflow: str | None = None,
) -> list[Any]:
    """Messages created in [since, until), counted by workflow and channel.

    Rows of workflow, channel, total, GROUPS, failures (status `failed` alone), attempted (what a provider or the
    inbox was given, or was to be given for good: all but skipped and queued), timed (messages that have a
    `delivered_at`) and avg_delivery_seconds (theirs, None where there is none).
    """
    query: sa.Select[Any] = (
        sa.select(
            _M.workflow,
            _M.channel,
            sa.func.count().label("total"),
            *(_counted(statuses).label(name) for name, statuses in GROUPS.items()),
            _counted([MessageStatus.FAILED]).label("failures"),
            sa.func.count().filter(_M.status.not_in([*GROUPS["skipped"], *GROUPS["queued"]])).label("attempted"),
            sa.func.count(_M.delivered_at).label("timed"),
            sa.func.avg(seconds_between(_M.created_at, _M.delivered_at)).label("avg_delivery_seconds"),
        )
        .where(_M.environment == environment, *_between(since, until))
        .group_by(_M.workflow, _M.channel)
        .order_by(_M.workflow, _M.channel)
    )
    if workflow is not None:
        query = query.where(_M.workflow == workflow)
    return list(connection.execute(query))


def _counted(statuses: Iterable[MessageStatus]) -> sa.ColumnElement[int]:
    return sa.func.count().filter(_M.status.in_(list(statuses)))


def _between(since: datetime | None, until: datetime | None) -> list[sa.ColumnElement[bool]]:
    conditions = [_M.created_at >= since] if since is not None else []
    return conditions + ([_M.created_at < until] if until is not None else [])
