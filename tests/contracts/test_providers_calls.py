"""One call among many: how many at once, and what its trouble comes to."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify.channels import mail as mails
from notify.channels.base import Call, Stage, send_each
from notify.model import Outcome, OutcomeKind
from tests.contracts.providers_mails import kinds, mail


async def test_no_more_calls_in_flight_than_allowed() -> None:
    running, most = 0, 0
    full = asyncio.Event()

    async def send(call: Call) -> Outcome:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 7:
            full.set()
        await full.wait()
        running -= 1
        return Outcome(OutcomeKind.ACCEPTED)

    batch = [mail(f"u{number}@example.com") for number in range(50)]
    assert kinds(await send_each(batch, send, concurrency=7, timeout=5)) == [OutcomeKind.ACCEPTED] * 50
    assert most == 7


@pytest.mark.parametrize(
    ("stage", "kind", "never_connected"),
    [
        (Stage.CONNECTING, OutcomeKind.RETRY, True),
        (Stage.CONNECTED, OutcomeKind.RETRY, False),
        (Stage.HANDED_OVER, OutcomeKind.UNKNOWN, False),
    ],
)
@pytest.mark.parametrize("error", [TimeoutError(), ConnectionResetError("gone")])
async def test_what_an_error_proves_depends_on_how_far_the_call_got(
    stage: Stage, kind: OutcomeKind, never_connected: bool, error: OSError
) -> None:
    async def send(call: Call) -> Outcome:
        call.stage = stage
        raise error

    [outcome] = await send_each([mail()], send, concurrency=1, timeout=5)

    assert (outcome.kind, outcome.never_connected) == (kind, never_connected)


@pytest.mark.parametrize("error", [KeyError("x"), asyncio.CancelledError()])
async def test_an_unexpected_error_is_unknown_and_stays_with_its_mail(error: BaseException) -> None:
    async def send(call: Call) -> Outcome:
        if call.dispatch.id == "m-a":
            raise error
        return Outcome(OutcomeKind.ACCEPTED)

    outcomes = await send_each([mail("a@example.com"), mail("b@example.com")], send, concurrency=2, timeout=5)

    assert kinds(outcomes) == [OutcomeKind.UNKNOWN, OutcomeKind.ACCEPTED]


@given(st.text())
def test_a_subject_is_always_one_line_of_unicode(subject: str) -> None:
    line = mails.one_line(subject)

    assert len(line.splitlines()) <= 1
    assert line.encode().decode() == line
