from pydantic import AwareDatetime, BaseModel

from notify.engine import prefect_flow
from notify.workflow import Notification, workflow


class Appointment(BaseModel):
    """When somebody is expected."""

    title: str
    at: AwareDatetime


@workflow("appointment")
async def appointment(n: Notification[Appointment]) -> None:
    """Wait until then, then one in-app message."""
    await n.sleep_until("then", n.payload.at)
    await n.in_app("soon")


flow = prefect_flow(appointment)
