"""What the daily and the weekly digest share."""

from __future__ import annotations

from typing import Any

from _tasks import by_task
from notify.workflow import Notification


async def digest(n: Notification[Any], name: str) -> None:
    """Collect a person's task news until the next tick in their zone, then tell all of it at once."""
    burst = await n.digest(name, at=n.parameters["at"], weekdays=n.parameters["weekdays"])
    news = by_task(burst)
    await n.all(n.in_app(name, day=news), n.email(name, day=news))
