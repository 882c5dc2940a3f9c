"""Alarms that are wanted: noted where somebody begins to wait, in the same transaction."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa

from notify.store import alarms
from notify.timing import alarm_bucket


def want_alarms(
    connection: sa.Connection, environment: str, workflow: str, instants: Iterable[datetime], now: datetime
) -> None:
    """Note when somebody of this workflow wants to wake; flow runs for it are scheduled after the commit.

    An instant already past needs no alarm: whoever looks for work finds it.
    """
    ahead = {alarm_bucket(instant, now) for instant in instants if instant > now}
    alarms.want(connection, environment, workflow, ahead)
