from typing import Any

from notify.engine import prefect_flow
from notify.model import Event
from notify.workflow import Nobody, Notification, workflow

PARAMETERS = {"to": "", "only": ""}


def operators(event: Event) -> Nobody | list[str]:
    """The ids in NOTIFY_ALERT_ON_FAILURE_TO, for workflows whose id holds NOTIFY_ALERT_ON_FAILURE_ONLY."""
    declared = alert_on_failure.parameters
    people = [id_.strip() for id_ in declared["to"].split(",") if id_.strip()]
    if declared["only"] not in event.data["function_id"]:
        return Nobody("not_watched")
    return people or Nobody("nobody_on_call")


@workflow("alert-on-failure", on="notify/workflow.failed", to=operators, priority="high", parameters=PARAMETERS)
async def alert_on_failure(n: Notification[dict[str, Any]]) -> None:
    """Tell whoever is on call that a workflow failed, with the error and the event that led to it."""
    await n.all(n.in_app("alert"), n.email("alert"))


flow = prefect_flow(alert_on_failure)
