from typing import Any

from _digest import digest
from _tasks import concerned
from notify.engine import prefect_flow
from notify.workflow import Notification, workflow


@workflow(
    "daily-digest",
    on=["task/assigned", "task/commented"],
    to=concerned,
    priority="low",
    tags=["tasks", "digest"],
    parameters={"at": "09:00", "weekdays": "mon-fri"},
)
async def daily_digest(n: Notification[dict[str, Any]]) -> None:
    """Everything about a person's tasks since their last digest, at nine on weekdays in their own zone."""
    await digest(n, "day")


flow = prefect_flow(daily_digest)
