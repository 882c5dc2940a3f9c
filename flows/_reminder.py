"""What the two reminders of a deadline share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from _tasks import TaskAssigned, task_at
from notify import clock
from notify.steps import Skip
from notify.workflow import Notification

#: Dates that stand for none lie at either end of the calendar: one before this is past, whichever it is.
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


async def remind(n: Notification[TaskAssigned], key: str) -> Skip | None:
    """Wait until `hours` before the task is due, then tell the assignee if it is still theirs, open and due then."""
    due, hours = n.payload.dueDate, n.parameters["hours"]
    if due is None or due - clock.now() > clock.FARTHEST:
        return n.skip("no_due_date")
    if not await n.sleep_until(key, max(due, _LONG_AGO) - timedelta(hours=hours)):
        return n.skip("too_late")
    now = clock.now()
    task = await n.run("task", task_at, n.payload.taskId, now)
    if reason := task.no_longer(n.subscriber.id, due, now):
        return n.skip(reason)
    left = n.parameters["said"]
    await n.emit("task/deadline.approaching", n.payload.approaching(left))
    await n.all(n.in_app("due", hours=left), n.email("due", hours=left), n.push("due", hours=left))
    return None
