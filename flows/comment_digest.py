from _tasks import TaskCommented, followers
from notify.engine import prefect_flow
from notify.workflow import Notification, workflow


@workflow("comment-digest", on="task/commented", to=followers, tags=["tasks"], parameters={"minutes": 15.0})
async def comment_digest(n: Notification[TaskCommented]) -> None:
    """One message for a burst of comments on a task, not one each."""
    burst = await n.digest("burst", minutes=n.parameters["minutes"], key=n.payload.taskId)
    await n.all(n.in_app("comments", burst=burst), n.email("comments", burst=burst))


flow = prefect_flow(comment_digest)
