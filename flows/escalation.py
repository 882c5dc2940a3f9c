from pydantic import BaseModel, Field

from notify.engine import prefect_flow
from notify.steps import Skip
from notify.workflow import Notification, workflow


class Notice(BaseModel):
    """Something a person has to know, and where to act on it."""

    title: str
    body: str
    url: str = Field(title="Link")


@workflow("escalation", tags=["notices"], parameters={"email_after_hours": 6.0, "sms_after_hours": 24.0})
async def escalation(n: Notification[Notice]) -> Skip | None:
    """In the inbox at once, by e-mail while it is unread, at last by SMS: to those who pay for it or are away."""
    await n.in_app("notice")
    await n.sleep("before-email", hours=n.parameters["email_after_hours"])
    if await n.is_read("notice", at="read-before-email"):
        return n.skip("read")
    await n.email("notice")
    await n.sleep("before-sms", hours=n.parameters["sms_after_hours"])
    if await n.is_read("notice", at="read-before-sms"):
        return n.skip("read")
    if not n.subscriber.data.get("premium") and await n.is_online(at="online-before-sms"):
        return n.skip("online")
    await n.sms("notice")
    return None


flow = prefect_flow(escalation)
