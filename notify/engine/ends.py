"""When one wait ends, for one person: worked out from the step, the present, and where and how they live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from notify.engine.driver import WAITS, Answer, Request
from notify.engine.limits import Limits
from notify.errors import InvalidInput, StepFailed, described
from notify.model import JsonObject, StepState, Subscriber
from notify.steps import Delay, Sleep
from notify.timing import later, length, next_slot, reachable


@dataclass(frozen=True, slots=True)
class End:
    """What a wait comes to: an answer, and what its step remembers; `until` is when it ends, if that is still ahead."""

    answer: Answer
    state: StepState
    value: JsonObject | None
    error: JsonObject | None = None
    until: datetime | None = None

    def row(self, now: datetime) -> dict[str, Any]:
        """The part of the step's memory that says it."""
        over = None if self.state is StepState.DELAYED else now
        return {"state": self.state, "value": self.value, "error": self.error, "finished_at": over}


def end_of(request: Request, person: Subscriber, limits: Limits, now: datetime) -> End:
    """The end of a sleep or a delay. A delay that cannot be is an error, for good; what lies in the past is over."""
    step = request.step
    assert isinstance(step, Sleep)
    if request.past:
        return End(Answer(True), StepState.COMPLETED, {"slept": True})
    try:
        until = _asked_for(step, person, now)
    except InvalidInput as error:
        failed = StepFailed(key=step.key, problem=str(error))
        return End(Answer(error=failed), StepState.FAILED, None, dict(described(failed)))
    if step.extend:
        until = limits.opens(person, until)
    slept = until > (request.claimed.taken_in_at or now)
    if until <= now:
        return End(Answer(slept), StepState.COMPLETED, {"slept": slept})
    return delayed(until, {"slept": True})


def delayed(until: datetime, value: Mapping[str, Any]) -> End:
    """A wait that is still ahead."""
    return End(WAITS, StepState.DELAYED, {**value, "until": until.isoformat()}, None, until)


def _asked_for(step: Sleep, person: Subscriber, now: datetime) -> datetime:
    if isinstance(step, Delay):
        return _told(step, person, now)
    if step.until is not None:
        return reachable(step.until, f"sleep_until({step.key!r})", now)
    if step.slots is not None:
        return next_slot(now, step.slots, step.zone or person.timezone)
    assert step.length is not None
    return later(now, step.length, person.timezone)


def _told(step: Delay, person: Subscriber, now: datetime) -> datetime:
    """An instant that is still ahead, or a length from now."""
    field, asked = f"delay({step.key!r})", step.asked
    instant = _instant(asked, field)
    if instant is None:
        return later(now, length(asked, field), person.timezone)
    if instant <= now:
        raise InvalidInput(field=field, problem=f"{instant.isoformat()} is past", remedy="Give it an instant ahead")
    return reachable(instant, field, now)


def _instant(asked: Any, field: str) -> datetime | None:
    """The instant a value names, an ISO 8601 text or Unix milliseconds; None where it is to be read as a length."""
    if isinstance(asked, int | float) and not isinstance(asked, bool):
        try:
            return datetime.fromtimestamp(asked / 1000, UTC)
        except (ValueError, OverflowError, OSError):
            raise InvalidInput(field=field, problem=f"{asked} is no instant", remedy="Use Unix milliseconds") from None
    try:
        found = asked if isinstance(asked, datetime) else datetime.fromisoformat(str(asked))
    except ValueError:
        return None
    if found.tzinfo is None:
        raise InvalidInput(field=field, problem=f"{asked} has no zone", remedy='End it in "Z" or an offset')
    return found


#: What a person of whom nothing has to be known is taken for.
ANYBODY = Subscriber("")
