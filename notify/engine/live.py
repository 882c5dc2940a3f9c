"""Live facts: what became of a message, and whether somebody is connected, as of the moment a workflow asks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import sqlalchemy as sa

from notify import clock
from notify.engine.driver import LOST, Answer, Request
from notify.model import StepState
from notify.steps import Fact, Look
from notify.store import inbox, memos, notifications, people

#: What is true now: pairs of a notification and the step it was told by, or of a subscriber and ''.
Truths = set[tuple[str, str]]


def look(connection: sa.Connection, environment: str, token: str, requests: Sequence[Request]) -> list[Answer]:
    """Answer requests for one fact as it stands now, and remember the answers."""
    mine = notifications.lock(connection, environment, [request.claimed.id for request in requests], token)
    held = [request for request in requests if request.claimed.id in mine]
    true: Truths = _TRUE[_step(requests[0]).fact](connection, environment, held) if held else set()
    memos.remember(connection, environment, [_memory(request, _about(request) in true) for request in held])
    return [Answer(_about(request) in true) if request.claimed.id in mine else LOST for request in requests]


def _step(request: Request) -> Look:
    assert isinstance(request.step, Look)
    return request.step


def _about(request: Request) -> tuple[str, str]:
    step = _step(request)
    return (request.claimed.id, f"{step.step}.in_app") if step.step else (request.claimed.subscriber, "")


def _memory(request: Request, value: bool) -> dict[str, Any]:
    now = clock.now()
    return {
        "notification": request.claimed.id,
        "key": request.step.key,
        "kind": request.step.kind,
        "state": StepState.COMPLETED,
        "value": value,
        "started_at": now,
        "finished_at": now,
    }


def _marked(mark: str) -> Callable[[sa.Connection, str, Collection[Request]], Truths]:
    def true(connection: sa.Connection, environment: str, requests: Collection[Request]) -> Truths:
        found = inbox.of_notifications(connection, environment, sorted({request.claimed.id for request in requests}))
        return {(row.notification, row.step) for row in found if getattr(row, mark) is not None}

    return true


def _online(connection: sa.Connection, environment: str, requests: Collection[Request]) -> Truths:
    known = people.online(connection, environment, {request.claimed.subscriber for request in requests})
    return {(subscriber, "") for subscriber in known}


_TRUE = {Fact.READ: _marked("read_at"), Fact.SEEN: _marked("seen_at"), Fact.ONLINE: _online}
