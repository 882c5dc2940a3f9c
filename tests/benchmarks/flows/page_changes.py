from pydantic import BaseModel

from notify.engine import prefect_flow
from notify.model import Event
from notify.workflow import Notification, event, workflow


@event("page/changed")
class PageChanged(BaseModel):
    """Somebody changed a page that a person watches."""

    page: str
    watcher: str
    author: str
    text: str


def watcher(event: Event) -> str:
    """Whoever watches the page."""
    return event.data["watcher"]


@workflow("page-changes", on="page/changed", to=watcher, parameters={"minutes": 15.0})
async def page_changes(n: Notification[PageChanged]) -> None:
    """One message on two channels for all that changed on a page in a quarter of an hour."""
    changes = await n.digest("changes", minutes=n.parameters["minutes"], key=n.payload.page)
    await n.all(n.in_app("changes", changes=changes), n.email("changes", changes=changes))


flow = prefect_flow(page_changes)
