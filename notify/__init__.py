"""The front door: what applications and workflow authors use.

What needs the database is loaded when it is first used: pytest opens this door in every session, for `notify.testing`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from notify.errors import NotifyError as NotifyError
from notify.model import Channel as Channel
from notify.model import Event as Event
from notify.workflow import CancelOn as CancelOn
from notify.workflow import Nobody as Nobody
from notify.workflow import Notification as Notification
from notify.workflow import Port as Port
from notify.workflow import bulk as bulk
from notify.workflow import event as event
from notify.workflow import history as history
from notify.workflow import workflow as workflow

if TYPE_CHECKING:
    from notify.client import AsyncNotify as AsyncNotify
    from notify.client import Notify as Notify
    from notify.settings import Settings as Settings


def __getattr__(name: str) -> Any:
    if name in ("AsyncNotify", "Notify"):
        return getattr(import_module("notify.client"), name)
    if name == "Settings":
        return import_module("notify.settings").Settings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
