"""Workflows to rehearse, small enough to see through."""

from __future__ import annotations

from pathlib import Path

MONDAY = "2026-03-02 09:00 Europe/Rome"

_FLOWS = '''
from typing import Any

from pydantic import BaseModel

from notify.model import Event
from notify.workflow import CancelOn, Notification, event, workflow

@event("it/noted")
class Noted(BaseModel):
    """Declared, and nothing starts on it."""


def who(event: Event) -> Any:
    return event.data["who"]


@workflow("now", on="it/happened", to=who)
async def now(n: Notification[dict[str, Any]]) -> None:
    await n.email("first", says=n.payload.get("says", "first"))
    await n.all(n.push("all"), n.email("all"), n.in_app("all"))


@workflow("later", on="it/began", to=who, cancel_on=CancelOn("it/ended", "id", "ended"))
async def later(n: Notification[dict[str, Any]]) -> None:
    await n.sleep("an-hour", hours=1)
    await n.email("hour")
    await n.sleep("another", hours=1)
    await n.email("two")


@workflow("read")
async def read(n: Notification[dict[str, Any]]) -> None:
    await n.in_app("hello")
    await n.sleep("an-hour", hours=1)
    if not await n.is_read("hello", at="then"):
        await n.email("hour")


@workflow("burst", on="it/repeated", to=who)
async def burst(n: Notification[dict[str, Any]]) -> None:
    found = await n.digest("burst", minutes=15)
    await n.email("burst", total=found.total)


@workflow("daily", on="it/repeated", to=who)
async def daily(n: Notification[dict[str, Any]]) -> None:
    found = await n.digest("day", at="09:10")
    await n.email("day", total=found.total)


@workflow("skips", on="it/skipped", to=who)
async def skips(n: Notification[dict[str, Any]]) -> Any:
    return n.skip("not_today")


@workflow("breaks", on="it/broke", to=who, retries=0)
async def breaks(n: Notification[dict[str, Any]]) -> None:
    raise ValueError("it broke")
'''
_STEPS = {
    "now": ("first.email", "all.push", "all.email", "all.in_app"),
    "later": ("hour.email", "two.email"),
    "read": ("hello.in_app", "hour.email"),
    "burst": ("burst.email",),
    "daily": ("day.email",),
}
_SUBJECT = {"now": "{{ says | default('all') }}", "burst": "{{ total }} at once", "daily": "{{ total }} in a day"}


def write(folder: Path) -> Path:
    """The workflows and their templates."""
    (folder / "flows.py").write_text(_FLOWS)
    for workflow, steps in _STEPS.items():
        for step in steps:
            file = folder / "templates" / workflow / f"{step}.j2"
            file.parent.mkdir(parents=True, exist_ok=True)
            subject = _SUBJECT.get(workflow, step.partition(".")[0])
            file.write_text(f"{{% block subject %}}{subject}{{% endblock %}}{{% block body %}}…{{% endblock %}}")
    return folder
