"""Audit of events and notifications: every event led to somebody or to a reason, and nobody waits for ever."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from notify.model import EventKind, NotificationStatus, Verdict
from notify.store.audit_check import Check, Query
from notify.store.tables import events, fanouts, notifications, omissions, windows
from notify.store.windows import OPEN

_E, _O, _N, _W, _F = events.c, omissions.c, notifications.c, windows.c, fanouts.c
_AGAIN = "Emit it again under a new id."


def checks(environment: str, listeners: Mapping[str, Sequence[str]], now: datetime) -> Iterator[Check]:
    """Events without a decision or with two, notifications nobody will wake, and events still to be matched."""
    if any(listeners.values()):
        yield Check(
            "event_undecided",
            undecided(environment, listeners, judged=True),
            "event {event} ({name}) was matched, but {workflow} neither told anybody nor kept a reason",
            _AGAIN,
        )
    yield Check(
        "event_unheard",
        _unheard(environment, listeners),
        "{name} {event} was matched, but led to no notification and to no reason for nobody",
        _AGAIN,
    )
    yield Check(
        "told_and_omitted",
        _told_and_omitted(environment),
        "event {event} told somebody through {workflow} and has a reason for nobody as well ({reason})",
        "See who was told: `notify log --workflow {workflow}`.",
    )
    yield Check(
        "forgotten",
        _forgotten(environment),
        "notification {notification} of {workflow} for {subscriber} waits, but for no instant and no open digest",
        "Cancel its trigger with `notify cancel` and trigger it again.",
    )
    yield Check(
        "broadcast_short",
        _broadcast_short(environment),
        "broadcast {event} of {workflow} reached {people} people, but {notifications} notifications came of it",
        "Trigger it again for those who are missing.",
    )
    yield Check(
        "pending",
        _pending(environment, now),
        "event {event} ({name}) is due and not matched yet",
        "Let a worker run: `notify work`.",
        breaks=False,
    )


def undecided(environment: str, listeners: Mapping[str, Sequence[str]], *, judged: bool) -> Query:
    """Matched events without a trace of a workflow that listens: rows of event, workflow, name.

    `judged` takes those matched since the workflow's first row, otherwise those before it.
    """
    pairs = [(name, workflow) for name, workflows in listeners.items() for workflow in workflows]
    columns = (sa.column("name", sa.Text), sa.column("workflow", sa.Text))
    listening = sa.values(*columns, name="listening").data(pairs).cte("listening")
    first = _first_rows(environment).subquery("first")
    since = _E.matched_at >= first.c.at
    decided = sa.or_(
        _told(environment, _N.workflow == listening.c.workflow),
        _omitted(environment, sa.or_(_O.workflow == listening.c.workflow, _O.workflow == "")),
    )
    return (
        sa.select(_E.uid.label("event"), listening.c.workflow, _E.name)
        .join_from(events, listening, listening.c.name == _E.name)
        .outerjoin(first, first.c.workflow == listening.c.workflow)
        .where(_matched(environment), _E.kind == EventKind.EVENT, sa.not_(decided))
        .where(since if judged else sa.or_(first.c.at.is_(None), sa.not_(since)))
    )


def _matched(environment: str) -> sa.ColumnElement[bool]:
    accepted = _E.verdict == Verdict.ACCEPTED
    return sa.and_(_E.environment == environment, accepted, _E.matched_at.is_not(None))


def _first_rows(environment: str) -> Query:
    told = sa.select(_N.workflow, _N.created_at).where(_N.environment == environment)
    nobody = sa.select(_O.workflow, _O.created_at).where(_O.environment == environment)
    either = told.union_all(nobody).subquery()
    return sa.select(either.c.workflow, sa.func.min(either.c.created_at).label("at")).group_by(either.c.workflow)


def _told(environment: str, of: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    return sa.exists().where(_N.environment == environment, _N.event == _E.uid, of)


def _omitted(environment: str, of: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    return sa.exists().where(_O.environment == environment, _O.event == _E.uid, of)


def _unheard(environment: str, listeners: Mapping[str, Sequence[str]]) -> Query:
    """A trigger asks for the workflow of its own name; an event to which nobody listens keeps that as its reason."""
    is_trigger = _E.kind == EventKind.TRIGGER
    nobody_listens = _E.name.not_in([name for name, workflows in listeners.items() if workflows])
    return sa.select(_E.uid.label("event"), _E.name).where(
        _matched(environment),
        sa.or_(is_trigger, nobody_listens),
        sa.not_(_told(environment, sa.or_(sa.not_(is_trigger), _N.workflow == _E.name))),
        sa.not_(sa.exists().where(_F.environment == environment, _F.event == _E.uid)),
        sa.not_(_omitted(environment, sa.or_(sa.not_(is_trigger), _O.workflow == _E.name))),
    )


def _told_and_omitted(environment: str) -> Query:
    told = sa.exists().where(_N.environment == environment, _N.event == _O.event, _N.workflow == _O.workflow)
    return sa.select(_O.event, _O.workflow, _O.reason).where(_O.environment == environment, told)


def _forgotten(environment: str) -> Query:
    collects = sa.exists().where(_W.environment == environment, _W.id == _N.window, _W.state == OPEN)
    return sa.select(_N.id.label("notification"), _N.workflow, _N.subscriber).where(
        _N.environment == environment,
        _N.status == NotificationStatus.WAITING,
        _N.wake_at.is_(None),
        sa.not_(collects),
    )


def _broadcast_short(environment: str) -> Query:
    """A cursor advances with the notifications it creates, so their numbers agree at any time."""
    reached = (
        sa.select(_F.event, _F.workflow, sa.func.sum(_F.people).label("people"))
        .where(_F.environment == environment)
        .group_by(_F.event, _F.workflow)
        .subquery("reached")
    )
    came = (
        sa.select(sa.func.count())
        .where(_N.environment == environment, _N.event == reached.c.event, _N.workflow == reached.c.workflow)
        .scalar_subquery()
    )
    return sa.select(reached.c.event, reached.c.workflow, reached.c.people, came.label("notifications")).where(
        reached.c.people != came
    )


def _pending(environment: str, now: datetime) -> Query:
    return sa.select(_E.uid.label("event"), _E.name).where(
        _E.environment == environment, _E.verdict == Verdict.ACCEPTED, _E.matched_at.is_(None), _E.ts <= now
    )
