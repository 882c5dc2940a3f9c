from _reminder import remind
from _tasks import NO_LONGER_DUE, TaskAssigned, assignee
from notify.engine import prefect_flow
from notify.steps import Skip
from notify.workflow import Notification, workflow


@workflow(
    "deadline-reminder",
    on="task/assigned",
    to=assignee,
    cancel_on=NO_LONGER_DUE,
    tags=["tasks"],
    parameters={"hours": 24.0, "said": 24.0},
)
async def deadline_reminder(n: Notification[TaskAssigned]) -> Skip | None:
    """A day before the task is due, if it is still theirs, open and due then."""
    return await remind(n, "day-before")


flow = prefect_flow(deadline_reminder)
