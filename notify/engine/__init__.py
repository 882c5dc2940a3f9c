"""The corridor that carries data from room to room, and the only code that knows Prefect."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from notify.catalogue import is_collecting
from notify.workflow import Workflow


def prefect_flow(workflow: Workflow) -> Any:
    """The workflow as a real `prefect.Flow`, for the last line of its file.

    Prefect is imported here and not before: a process that only emits events reads workflow files for their
    definitions and never loads it.
    """
    if is_collecting():
        return None
    return import_module("notify.engine.flows").as_flow(workflow)
