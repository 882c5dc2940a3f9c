from pydantic import BaseModel

from notify.engine import prefect_flow
from notify.workflow import Notification, workflow


class Announcement(BaseModel):
    """What everybody is told."""

    title: str
    text: str


@workflow("announcement")
async def announcement(n: Notification[Announcement]) -> None:
    """One in-app message."""
    await n.in_app("news")


flow = prefect_flow(announcement)
