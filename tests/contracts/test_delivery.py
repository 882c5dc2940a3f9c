"""Calls to providers, on both databases: written before they are made, and what each answer makes of its message."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from notify.channels.memory import Script
from notify.engine.delivery import RETRIES
from notify.model import Channel, Dispatch, Outcome, OutcomeKind
from notify.store.tables import attempts
from tests.world import START, World, migrated

EMAIL = Channel.EMAIL
SOURCE = """
@workflow("mail")
async def mail(n: Notification[dict[str, Any]]) -> None:
    await n.email("note")


@workflow("once", delivery="at_most_once")
async def once(n: Notification[dict[str, Any]]) -> None:
    await n.email("note")
"""
ACCEPTED = Outcome(OutcomeKind.ACCEPTED, "p-1")
REJECTED = Outcome(OutcomeKind.REJECTED, detail="no such mailbox")
RETRY = Outcome(OutcomeKind.RETRY, detail="busy")
UNKNOWN = Outcome(OutcomeKind.UNKNOWN, detail="no answer")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    return migrated(request, request.param)


@pytest.fixture
def world(tmp_path: Path, url: str) -> Iterator[World]:
    with World(tmp_path, url) as made:
        made.workflow(SOURCE, "mail/note.email", "once/note.email")
        made.people("ann")
        yield made


def answers(*outcomes: Outcome) -> Script:
    """These in turn; after the last one ACCEPTED."""
    rest = iter(outcomes)
    return lambda _: next(rest, ACCEPTED)


def send(world: World, workflow: str, *outcomes: Outcome) -> None:
    """Trigger it for ann, the provider answering so."""
    world.providers[EMAIL].script = answers(*outcomes)
    world.trigger(workflow, "ann")
    world.settle()


def message(world: World) -> Any:
    [only] = world.messages()
    return only


def state(world: World) -> tuple[str, str | None, int]:
    row = message(world)
    return row.status, row.reason, row.attempts


def tried(world: World) -> list[Any]:
    """All attempts in order."""
    return world.rows(sa.select(attempts).order_by(attempts.c.message, attempts.c.number))


def listed(world: World) -> list[tuple[int, str | None]]:
    return [(row.number, row.outcome) for row in tried(world)]


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


# --- one answer ---------------------------------------------------------------------------------------


def test_an_attempt_is_written_before_its_call(world: World) -> None:
    seen: list[Any] = []

    def look(dispatch: Dispatch) -> Outcome:
        seen.extend(tried(world))
        assert dispatch.id == message(world).id
        return ACCEPTED

    world.providers[EMAIL].script = look
    world.trigger("mail", "ann")
    world.settle()

    [row] = seen
    assert (row.number, row.provider, row.started_at, row.finished_at, row.outcome) == (1, "memory", START, None, None)


def test_what_is_accepted_is_sent(world: World) -> None:
    send(world, "mail", ACCEPTED)

    row = message(world)
    assert (row.status, row.reason, row.sent_at, row.delivered_at, row.attempts) == ("sent", None, START, None, 1)
    assert (row.provider, row.provider_message_id, row.next_attempt_at, row.claim) == ("memory", "p-1", None, None)
    [attempt] = tried(world)
    assert (attempt.outcome, attempt.provider_message_id, attempt.finished_at) == ("accepted", "p-1", START)


def test_what_is_rejected_has_failed_for_good(world: World) -> None:
    send(world, "mail", REJECTED)
    world.advance(days=2)

    assert state(world) == ("failed", "rejected", 1)
    assert message(world).error == "no such mailbox"
    assert [(row.outcome, row.detail) for row in tried(world)] == [("rejected", "no such mailbox")]
    assert len(world.providers[EMAIL].calls) == 1


# --- trying again -------------------------------------------------------------------------------------


def test_what_was_not_taken_is_tried_again_when_its_time_has_come(world: World) -> None:
    send(world, "mail", RETRY)
    first = message(world)
    world.advance(seconds=9.999)
    early = len(world.providers[EMAIL].calls)
    world.advance(seconds=0.001)

    assert (first.status, first.next_attempt_at, first.claim, first.error) == ("queued", after(10), None, "busy")
    assert early == 1
    assert state(world) == ("sent", None, 2)
    assert listed(world) == [(1, "retry"), (2, "accepted")]
    calls = world.providers[EMAIL].calls
    assert ([call.attempt for call in calls], len({call.id for call in calls})) == ([1, 2], 1)
    assert message(world).error is None


@pytest.mark.parametrize("seconds", [0.5, 42, 7200])
def test_the_wait_a_provider_asks_for_is_kept(world: World, seconds: float) -> None:
    send(world, "mail", Outcome(OutcomeKind.RETRY, retry_after=seconds))

    assert message(world).next_attempt_at == after(seconds)
    world.advance(seconds=seconds - 0.1)
    assert len(world.providers[EMAIL].calls) == 1
    world.advance(seconds=0.1)
    assert state(world) == ("sent", None, 2)


@pytest.mark.parametrize(
    ("workflow", "outcome", "end"),
    [
        ("mail", RETRY, ("failed", "gave_up")),
        ("mail", Outcome(OutcomeKind.RETRY, never_connected=True), ("timeout", "gave_up")),
        ("mail", UNKNOWN, ("unknown", "no_answer")),
        ("once", RETRY, ("failed", "gave_up")),
    ],
)
def test_it_is_given_up_after_the_last_retry(
    world: World, workflow: str, outcome: Outcome, end: tuple[str, str]
) -> None:
    tries = len(RETRIES) + 1

    send(world, workflow, *[outcome] * 20)
    for place, seconds in enumerate(RETRIES, 1):
        assert state(world) == ("queued", None, place)
        world.advance(seconds=seconds)
    world.advance(days=2)

    assert state(world) == (*end, tries)
    assert listed(world) == [(number, str(outcome.kind)) for number in range(1, tries + 1)]
    assert message(world).next_attempt_at is None


def test_an_unknown_call_is_tried_again_and_stays_listed(world: World) -> None:
    send(world, "mail", UNKNOWN)
    before = state(world)
    world.advance(seconds=RETRIES[0])

    assert before == ("queued", None, 1)
    assert state(world) == ("sent", None, 2)
    assert [(row.outcome, row.detail) for row in tried(world)] == [("unknown", "no answer"), ("accepted", None)]


def test_an_unknown_call_is_the_last_where_nothing_may_come_twice(world: World) -> None:
    send(world, "once", UNKNOWN)
    world.advance(days=2)

    assert state(world) == ("unknown", "no_answer", 1)
    assert listed(world) == [(1, "unknown")]
    assert len(world.providers[EMAIL].calls) == 1


def test_a_channel_that_has_no_provider_any_more_ends_its_messages(world: World) -> None:
    send(world, "mail", RETRY)
    del world.providers[EMAIL]

    world.advance(seconds=10)

    row = message(world)
    assert (row.status, row.reason) == ("failed", "rejected")
    assert "integration" in row.error
