"""How far ahead an instant may lie that somebody names."""

from __future__ import annotations

from datetime import UTC, datetime

from notify.clock import FARTHEST
from notify.errors import InvalidInput


def reachable(instant: datetime, field: str, now: datetime) -> datetime:
    """The instant in UTC. One over a hundred years ahead is an InvalidInput, one longer past is past by so much."""
    if instant - now > FARTHEST:
        problem = f"{instant.isoformat()} is over a hundred years ahead"
        raise InvalidInput(field=field, problem=problem, remedy="Give it a nearer instant, or none where there is none")
    return max(instant, now - FARTHEST).astimezone(UTC)
