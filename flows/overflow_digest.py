from typing import Any

from notify.engine import prefect_flow
from notify.model import Event
from notify.workflow import Notification, workflow


def whose(event: Event) -> str:
    """The person who had got enough."""
    return event.data["subscriber"]


@workflow(
    "overflow-digest",
    on="notify/budget.exceeded",
    to=whose,
    unbudgeted=True,
    priority="low",
    tags=["digest"],
    parameters={"hours": 4.0},
)
async def overflow_digest(n: Notification[dict[str, Any]]) -> None:
    """What a person's budgets kept back, told at once some hours after the first of it."""
    burst = await n.digest("rest", hours=n.parameters["hours"])
    await n.all(n.in_app("rest", burst=burst), n.email("rest", burst=burst))


flow = prefect_flow(overflow_digest)
