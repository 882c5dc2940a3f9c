from _tasks import TaskAssigned, assignee
from notify.engine import prefect_flow
from notify.workflow import Notification, workflow


@workflow("task-assigned", on="task/assigned", to=assignee, tags=["tasks"])
async def task_assigned(n: Notification[TaskAssigned]) -> None:
    """Tell somebody at once, on every channel they want, that a task is theirs."""
    await n.all(n.in_app("assigned"), n.email("assigned"), n.push("assigned"))


flow = prefect_flow(task_assigned)
