"""Audit of messages and calls: one message a step and channel, one accepted call a message, no answer invented."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import sqlalchemy as sa

from notify.model import Channel, Delivery, MessageStatus, OutcomeKind
from notify.store.audit_check import Check, Query
from notify.store.tables import attempts, messages
from notify.store.types import database_now

_M, _A = messages.c, attempts.c
_EARLIER = attempts.alias("earlier")
_WHY = "See its calls: `notify why {message}`."


#: How long after its time a message that was held may still be.
LATE = timedelta(minutes=5)


def checks(environment: str, now: datetime) -> Iterator[Check]:
    """Decisions and sends there are too many of, sends nobody accepted, and calls whose answer is missing."""
    yield Check(
        "decided_twice",
        _decided_twice(environment),
        "notification {notification} decided {messages} messages for step {step} on {channel}",
        "See them: `notify why {notification}`.",
    )
    yield Check(
        "sent_twice",
        _sent_twice(environment),
        "message {message} was accepted by its provider {accepted} times",
        _WHY,
    )
    yield Check(
        "called_after_unknown",
        _after_unknown(environment, Delivery.AT_MOST_ONCE),
        "message {message} is at_most_once, but was tried again after call {number} had no answer",
        _WHY,
    )
    yield Check(
        "sent_without_acceptance",
        _sent_without_acceptance(environment),
        "message {message} counts as {status} on {channel}, but no call for it was accepted",
        _WHY,
    )
    yield Check(
        "held_for_ever",
        _held(environment, _M.next_attempt_at.is_(None)),
        "message {message} to {subscriber} on {channel} is held, but until no instant",
        "Trigger it again: it will never be let go.",
    )
    yield Check(
        "held_too_long",
        _held(environment, _M.next_attempt_at < now - LATE),
        "message {message} to {subscriber} on {channel} was held until a time that has passed",
        "Let a worker run: `notify work`.",
        breaks=False,
    )
    yield Check(
        "unknown_then_sent",
        _after_unknown(environment, Delivery.AT_LEAST_ONCE, _A.outcome == OutcomeKind.ACCEPTED),
        "message {message} may have arrived twice: call {number} had no answer, a later one was accepted",
        "Nothing to do; `@workflow(…, delivery='at_most_once')` prefers losing such a message.",
        breaks=False,
    )
    yield Check(
        "interrupted",
        _interrupted(environment),
        "call {number} for message {message} began and nobody waits for its answer",
        "Let a worker run: it records the call as unknown and carries on.",
        breaks=False,
    )
    yield Check(
        "unknown",
        _unknown(environment),
        "message {message} to {subscriber} on {channel}: nobody can say whether it arrived",
        "Ask the provider, or the person.",
        breaks=False,
    )


def _decided_twice(environment: str) -> Query:
    return (
        sa.select(_M.notification, _M.step, _M.channel, sa.func.count().label("messages"))
        .where(_M.environment == environment)
        .group_by(_M.notification, _M.step, _M.channel)
        .having(sa.func.count() > 1)
    )


def _sent_twice(environment: str) -> Query:
    return (
        sa.select(_A.message, sa.func.count().label("accepted"))
        .where(_A.environment == environment, _A.outcome == OutcomeKind.ACCEPTED)
        .group_by(_A.message)
        .having(sa.func.count() > 1)
    )


def _after_unknown(environment: str, delivery: Delivery, *later: sa.ColumnElement[bool]) -> Query:
    """Messages with a call behind one that had no answer; `number` is the last such one."""
    own = sa.and_(_M.environment == _A.environment, _M.id == _A.message, _M.delivery == delivery)
    unanswered = sa.and_(
        _EARLIER.c.environment == _A.environment,
        _EARLIER.c.message == _A.message,
        _EARLIER.c.number < _A.number,
        _EARLIER.c.outcome == OutcomeKind.UNKNOWN,
    )
    return (
        sa.select(_A.message, sa.func.max(_EARLIER.c.number).label("number"))
        .join_from(attempts, _EARLIER, unanswered)
        .join(messages, own)
        .where(_A.environment == environment, *later)
        .group_by(_A.message)
    )


def _sent_without_acceptance(environment: str) -> Query:
    """In-app messages are delivered by being written; every other one needs a provider that took it."""
    by_provider = sa.and_(_M.status == MessageStatus.DELIVERED, _M.channel != Channel.IN_APP)
    accepted = sa.exists().where(_A.environment == environment, _A.message == _M.id, _A.outcome == OutcomeKind.ACCEPTED)
    return sa.select(_M.id.label("message"), _M.channel, _M.status).where(
        _M.environment == environment, sa.or_(_M.status == MessageStatus.SENT, by_provider), sa.not_(accepted)
    )


def _interrupted(environment: str) -> Query:
    leased = sa.exists().where(
        _M.environment == environment,
        _M.id == _A.message,
        _M.claim.is_not(None),
        _M.lease_until >= database_now(),
    )
    return sa.select(_A.message, _A.number).where(_A.environment == environment, _A.outcome.is_(None), sa.not_(leased))


def _held(environment: str, which: sa.ColumnElement[bool]) -> Query:
    return sa.select(_M.id.label("message"), _M.subscriber, _M.channel).where(
        _M.environment == environment, _M.status == MessageStatus.HELD, which
    )


def _unknown(environment: str) -> Query:
    return sa.select(_M.id.label("message"), _M.subscriber, _M.channel).where(
        _M.environment == environment, _M.status == MessageStatus.UNKNOWN
    )
