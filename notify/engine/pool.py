"""The work pool's name and template."""

from __future__ import annotations

from typing import Any

#: The pool our workers serve, and its type.
POOL = "notify"


def job_template() -> dict[str, Any]:
    """Our workers run flow runs in their own process: a job has nothing to set."""
    return {"job_configuration": {"command": "{{ command }}"}, "variables": _variables()}


def _variables() -> dict[str, Any]:
    command = {"type": "string", "title": "Command", "description": "Not used: runs stay in the worker's process."}
    return {"type": "object", "properties": {"command": command}, "required": []}
