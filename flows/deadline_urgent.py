from _reminder import remind
from _tasks import NO_LONGER_DUE, TaskAssigned, assignee
from notify.engine import prefect_flow
from notify.steps import Skip
from notify.workflow import Notification, workflow


@workflow(
    "deadline-urgent",
    on="task/assigned",
    to=assignee,
    cancel_on=NO_LONGER_DUE,
    priority="high",
    tags=["tasks"],
    parameters={"hours": 1.0, "said": 1.0},
)
async def deadline_urgent(n: Notification[TaskAssigned]) -> Skip | None:
    """An hour before the task is due, if it is still theirs, open and due then."""
    return await remind(n, "hour-before")


flow = prefect_flow(deadline_urgent)
