"""The project-management application's events, who they concern, and its facts: shared by the workflows beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict

from notify.model import Event
from notify.steps import Burst
from notify.workflow import CancelOn, Nobody, Port, bulk, event, history

ASSIGNED, COMMENTED, COMPLETED = "task/assigned", "task/commented", "task/completed"


def _spoken(field: str, _: Any) -> str:
    """`taskTitle` as a form says it: `Task title`."""
    return re.sub(r"(?<=[a-z])([A-Z])", lambda found: f" {found[1].lower()}", field).capitalize()


class TaskEvent(BaseModel):
    """What the events about tasks have in common: fields titled for people."""

    model_config = ConfigDict(field_title_generator=_spoken)


@event(ASSIGNED, subject="taskId")
class TaskAssigned(TaskEvent):
    """Somebody is to do a task, perhaps by a date."""

    taskId: str
    taskTitle: str
    assigneeId: str
    assigneeName: str
    assignerId: str
    assignerName: str
    projectName: str
    dueDate: AwareDatetime | None

    def approaching(self, hours: float) -> dict[str, Any]:
        """The data of `task/deadline.approaching`."""
        return {
            "taskId": self.taskId,
            "taskTitle": self.taskTitle,
            "assigneeId": self.assigneeId,
            "dueDate": self.dueDate,
            "hoursRemaining": hours,
        }


@event(COMMENTED, subject="taskId")
class TaskCommented(TaskEvent):
    """Somebody said something about a task."""

    taskId: str
    taskTitle: str
    commenterId: str
    commenterName: str
    commentText: str
    mentionedUserIds: list[str]
    projectName: str


@event(COMPLETED, subject="taskId")
class TaskCompleted(TaskEvent):
    """A task is done."""

    taskId: str
    completedById: str


@event("task/deadline.approaching", subject="taskId")
class DeadlineApproaching(TaskEvent):
    """A deadline is near and its reminder is on its way."""

    taskId: str
    taskTitle: str
    assigneeId: str
    dueDate: AwareDatetime
    hoursRemaining: float


# --- facts --------------------------------------------------------------------------------------


class TaskState(BaseModel):
    """What is true of a task at an instant."""

    known: bool = False
    assignee: str | None = None
    due: AwareDatetime | None = None
    completed: bool = False

    def no_longer(self, assignee: str, due: datetime, now: datetime) -> str | None:
        """Why a reminder of this due date is not for this person any more, or None."""
        if not self.known:
            return "task_unknown"
        if self.completed:
            return "completed"
        if self.assignee != assignee:
            return "reassigned"
        if self.due != due:
            return "moved"
        return "past" if due <= now else None


class TaskFacts(Protocol):
    """The port to the application's facts about tasks."""

    def as_of(self, asked: Sequence[tuple[str, datetime]]) -> Sequence[TaskState]:
        """The state of each task at its instant, in the order asked."""
        ...


class FactsFromEvents:
    """Facts told by the events themselves: what was announced up to an instant, equal instants in order received."""

    def as_of(self, asked: Sequence[tuple[str, datetime]]) -> Sequence[TaskState]:
        """One query for everybody."""
        told = history().about([ASSIGNED, COMPLETED], sorted({task for task, _ in asked}))
        return [_state(event for event in told.get(task, ()) if event.ts <= at) for task, at in asked]


def _state(told: Any) -> TaskState:
    state = TaskState()
    for one in told:
        state = _after(state, one)
    return state


def _after(state: TaskState, one: Event) -> TaskState:
    if one.name == COMPLETED:
        return state.model_copy(update={"known": True, "completed": True})
    due = one.data["dueDate"]
    return TaskState(
        known=True, assignee=one.data["assigneeId"], due=datetime.fromisoformat(due) if due else None, completed=False
    )


#: NOTIFY_PORT_TASKS="yourapp.facts:tasks" puts the application's own database here.
facts: Port[TaskFacts] = Port("tasks", FactsFromEvents())


@bulk
def task_at(tasks: list[str], instants: list[datetime]) -> list[TaskState]:
    """The state of each task at its instant."""
    return list(facts().as_of(list(zip(tasks, instants, strict=True))))


# --- who is concerned ---------------------------------------------------------------------------


def assignee(event: Event) -> str:
    """Whoever is to do the task, themselves included."""
    return event.data["assigneeId"]


@bulk
def followers(events: list[Event]) -> list[Any]:
    """Who hears of a comment: the assignee at that moment and those mentioned, but nobody of their own."""
    states = facts().as_of([(event.data["taskId"], event.ts) for event in events])
    return [_followers(event, state) for event, state in zip(events, states, strict=True)]


def _followers(event: Event, state: TaskState) -> Nobody | list[str]:
    told = set(event.data["mentionedUserIds"]) | ({state.assignee} if state.assignee else set[str]())
    others = told - {event.data["commenterId"]}
    if others:
        return sorted(others)
    return Nobody("only_own_comment" if told else "no_recipient")


@bulk
def concerned(events: list[Event]) -> list[Any]:
    """Whom a task's news concern: its assignee, or the followers of a comment."""
    comments = iter(followers([event for event in events if event.name == COMMENTED]))
    return [next(comments) if event.name == COMMENTED else assignee(event) for event in events]


# --- what ends a reminder -----------------------------------------------------------------------


def newer_assignment(own: Event, newer: Event) -> str:
    """Why a newer assignment of the task ends the older one's reminder."""
    if newer.data["assigneeId"] != own.data["assigneeId"]:
        return "reassigned"
    return "moved" if newer.data["dueDate"] != own.data["dueDate"] else "superseded"


NO_LONGER_DUE = (CancelOn(ASSIGNED, "taskId", newer_assignment), CancelOn(COMPLETED, "taskId", "completed"))


# --- digests ------------------------------------------------------------------------------------


@dataclass
class TaskNews:
    """What happened to one task, for a digest."""

    id: str
    title: str
    project: str
    comments: list[Mapping[str, str]] = field(default_factory=lambda: list[Mapping[str, str]]())
    comment_count: int = 0
    assigned_by: str | None = None
    due: datetime | None = None


@dataclass(frozen=True)
class News:
    """A digest's content, grouped by task."""

    tasks: list[TaskNews]
    total: int


#: Comments of one task that a digest shows; the others are counted.
SHOWN = 5


def by_task(burst: Burst) -> News:
    """The events of a digest grouped by task, in the order in which the tasks first appear."""
    tasks: dict[str, TaskNews] = {}
    for one in burst.events:
        data = one.payload
        news = tasks.setdefault(data["taskId"], TaskNews(data["taskId"], data["taskTitle"], data["projectName"]))
        if one.name == COMMENTED:
            news.comment_count += 1
            if len(news.comments) < SHOWN:
                news.comments.append({"author": data["commenterName"], "text": data["commentText"]})
        else:
            news.assigned_by = data["assignerName"]
            news.due = datetime.fromisoformat(data["dueDate"]) if data["dueDate"] else None
    return News(list(tasks.values()), burst.total)
