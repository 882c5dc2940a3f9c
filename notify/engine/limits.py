"""What holds messages back: the hours in which people may be disturbed, and the budgets of what they may get."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from notify.budgets import Budget, parse
from notify.errors import InvalidInput, InvalidSetting
from notify.model import INTERRUPTING, Channel, Priority, Subscriber
from notify.settings import Settings
from notify.timing.hours import Hours, hours, next_open
from notify.workflow import Workflow

log = logging.getLogger("notify.limits")
_OVERFLOWS = ("defer", "digest")
_EXEMPT = ("high", "critical")


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one environment, as its settings say."""

    #: The hours of people who set none.
    usual: Hours = field(default_factory=Hours)
    budgets: Sequence[Budget] = ()
    #: From this priority on no budget holds.
    exempt: Priority = Priority.HIGH
    #: Whether what is over a budget is told in a digest rather than later.
    digests: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """As `NOTIFY_SCHEDULE` and `NOTIFY_BUDGET…` say; nonsense is an InvalidSetting naming the variable."""
        exempt = _one_of(_EXEMPT, settings.budget_exempt, "NOTIFY_BUDGET_EXEMPT")
        return cls(
            _usual(settings.schedule),
            parse(settings.budget, "NOTIFY_BUDGET"),
            Priority[exempt.upper()],
            _one_of(_OVERFLOWS, settings.budget_overflow, "NOTIFY_BUDGET_OVERFLOW") == "digest",
        )

    def opens(self, person: Subscriber, instant: datetime) -> datetime:
        """This instant if it lies in the person's hours, otherwise when they next begin."""
        if person.schedule is None:
            return next_open(instant, self.usual, person.timezone)
        try:
            return next_open(instant, hours(person.schedule, "schedule"), person.timezone)
        except InvalidInput as error:
            log.warning("%s is told at any hour: %s", person.id, error)
            return instant

    def keeps_hours(self, workflow: Workflow | None, channel: Channel, priority: int) -> bool:
        """Whether such a message waits for the person's hours; None is a workflow that is not known here."""
        return channel in INTERRUPTING and not _critical(workflow) and priority < Priority.CRITICAL

    def keeps_budget(self, workflow: Workflow | None, channel: Channel, priority: int) -> bool:
        """Whether such a message waits for room in the person's budgets. It is counted in any case."""
        free = _critical(workflow) or (workflow is not None and workflow.unbudgeted) or priority >= self.exempt
        return not free and any(budget.concerns(channel) for budget in self.budgets)


def _critical(workflow: Workflow | None) -> bool:
    return workflow is not None and workflow.critical


def _one_of(known: Sequence[str], value: str, name: str) -> str:
    if value in known:
        return value
    raise InvalidSetting(name=name, value=value, problem="no such choice", remedy=f"Use {' or '.join(known)}")


def _usual(text: str) -> Hours:
    """Hours from JSON as it is stored with a person, or from "mon-fri 09:00-17:00; sat 10:00-12:00"."""
    try:
        return hours(json.loads(text) if text.lstrip().startswith("{") else _spelled(text), "NOTIFY_SCHEDULE")
    except (InvalidInput, ValueError) as error:
        problem = str(error.problem) if isinstance(error, InvalidInput) else "no JSON"
        remedy = 'Write "mon-fri 09:00-17:00; sat 10:00-12:00", or JSON as it is stored with a person'
        raise InvalidSetting(name="NOTIFY_SCHEDULE", value=text, problem=problem, remedy=remedy) from None


def _spelled(text: str) -> Mapping[str, Sequence[str]] | None:
    found: dict[str, list[str]] = {}
    for part in filter(str.strip, text.split(";")):
        days, _, stretches = part.strip().partition(" ")
        found.setdefault(days, []).extend(stretches.split(","))
    return found or None
