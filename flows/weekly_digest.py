from typing import Any

from _digest import digest
from _tasks import concerned
from notify.engine import prefect_flow
from notify.workflow import Notification, workflow


@workflow(
    "weekly-digest",
    on=["task/assigned", "task/commented"],
    to=concerned,
    priority="low",
    tags=["tasks", "digest"],
    parameters={"at": "09:00", "weekdays": "mon"},
)
async def weekly_digest(n: Notification[dict[str, Any]]) -> None:
    """Everything about a person's tasks since their last weekly digest, on Monday at nine in their own zone."""
    await digest(n, "week")


flow = prefect_flow(weekly_digest)
