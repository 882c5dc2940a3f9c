"""What was done without Prefect, written down so that a flow run can say it later: few rows, however much was done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from notify import clock
from notify.engine.context import Engine
from notify.engine.work import Tally
from notify.model import new_id
from notify.store import unreported
from notify.workflow import Workflow

#: Notifications a row speaks of at most: the people it counts are kept in memory until it is closed.
MOST = 100_000


@dataclass
class Chapter:
    """A stretch of one workflow's work that becomes one flow run."""

    started_at: datetime
    tally: Tally = field(default_factory=Tally)
    #: What kept the last batch from being worked on, if something did.
    problem: str | None = None
    id: str = field(default_factory=new_id)


#: How a flow run with this tally is called and ends: its `name`, `state` and `message`.
Describe = Callable[[Workflow, Chapter], Mapping[str, Any]]


@dataclass
class Ledger:
    """This worker's chapters: one stays open per workflow, and grows, until somebody takes its row to report it."""

    engine: Engine
    describe: Describe
    _chapters: dict[str, Chapter] = field(default_factory=lambda: dict[str, Chapter]())

    async def note(self, workflow: Workflow, tally: Tally, started_at: datetime, problem: str | None = None) -> None:
        """Write down what one batch came to: into the open row, or into a new one."""
        chapter = self._chapters.get(workflow.id)
        if chapter is not None and len(chapter.tally.notifications) < MOST:
            _add(chapter.tally, tally)
            chapter.problem = problem
            if await self.engine.write(unreported.extend, self._row(workflow, chapter)):
                return
        chapter = self._chapters[workflow.id] = Chapter(started_at, _copied(tally), problem)
        await self.engine.write(unreported.begin, self._row(workflow, chapter))

    def _row(self, workflow: Workflow, chapter: Chapter) -> dict[str, Any]:
        return {
            "id": chapter.id,
            "workflow": workflow.id,
            "started_at": chapter.started_at,
            "finished_at": clock.now(),
            **self.describe(workflow, chapter),
        }


def _copied(tally: Tally) -> Tally:
    copy = Tally()
    _add(copy, tally)
    return copy


def _add(total: Tally, tally: Tally) -> None:
    total.notifications |= tally.notifications
    total.people |= tally.people
    total.endings += tally.endings
    total.decisions += tally.decisions
    total.waiting += tally.waiting
    total.failures += tally.failures
    total.cancelled |= tally.cancelled
