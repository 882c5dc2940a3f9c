"""SendGrid: the request, the answers, the wait, the settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from notify import clock
from notify.channels import catalog, sendgrid
from notify.errors import InvalidSetting
from notify.model import Content, Outcome, OutcomeKind
from tests.contracts.providers_mails import mail, settings
from tests.contracts.providers_sendgrid import SendGridWorld, sendgrid_world


@pytest.fixture
async def grid(tmp_path: Path) -> AsyncIterator[SendGridWorld]:
    async with sendgrid_world(tmp_path) as made:
        yield made


async def test_the_request_is_what_sendgrid_documents(grid: SendGridWorld) -> None:
    headers = {"Reply-To": "Ann <ann@example.com>", "List-Unsubscribe": "<https://example.com/u>"}
    [outcome] = await grid.provider.send([mail(content=Content("Hi", "<p>Hi</p>", "Hi", {"headers": headers}))])

    assert outcome == Outcome(OutcomeKind.ACCEPTED, provider_message_id="sg-m-ada")
    [request] = grid.requests
    assert (request.method, request.path) == ("POST", "/v3/mail/send")
    assert request.headers["authorization"] == "Bearer SG.key"
    assert request.headers["content-type"] == "application/json"
    assert request.page == {
        "personalizations": [{"to": [{"email": "ada@example.com"}]}],
        "from": {"email": "notify@example.com", "name": "Zoë from notify"},
        "reply_to": {"email": "ann@example.com", "name": "Ann"},
        "subject": "Hi",
        "content": [{"type": "text/plain", "value": "Hi"}, {"type": "text/html", "value": "<p>Hi</p>"}],
        "headers": {"List-Unsubscribe": "<https://example.com/u>"},
        "custom_args": {"notify_message_id": "m-ada"},
    }


async def test_sendgrids_wait_is_passed_on(grid: SendGridWorld) -> None:
    throttled, broken = await grid.provider.send([mail("throttled@example.com"), mail("broken@example.com")])

    assert (throttled.kind, throttled.retry_after) == (OutcomeKind.RETRY, 7)
    assert (broken.kind, broken.retry_after) == (OutcomeKind.RETRY, None)
    assert "503 over capacity" in (broken.detail or "")


async def test_one_client_keeps_its_connections(grid: SendGridWorld) -> None:
    await grid.provider.send([mail(f"a{number}@example.com") for number in range(40)])
    await grid.provider.send([mail(f"b{number}@example.com") for number in range(40)])

    assert len(grid.requests) == 80
    assert len(grid.peers) <= grid.provider.concurrency


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 413])
async def test_any_other_answer_is_final_and_quoted(status: int, grid: SendGridWorld) -> None:
    [outcome] = await grid.provider.send([mail(f"status{status}@example.com")])

    assert outcome.kind is OutcomeKind.REJECTED
    assert f"{status} what they said" in (outcome.detail or "")
    assert ("NOTIFY_SENDGRID_KEY" in (outcome.detail or "")) == (status in (401, 403))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "120"}, 120),
        ({"Retry-After": "9" * 400}, 86_400),
        ({"Retry-After": "Thu, 01 Jan 2026 00:01:30 GMT"}, 90),
        ({"Retry-After": "Wed, 31 Dec 2025 00:00:00 GMT"}, 0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-1"}, None),
        ({"X-RateLimit-Reset": "1767225660"}, 60),
        ({"Retry-After": "5", "X-RateLimit-Reset": "1767225660"}, 5),
    ],
)
def test_the_wait_is_read_from_seconds_or_a_date(headers: dict[str, str], seconds: float | None) -> None:
    with clock.use(clock.Frozen(datetime(2026, 1, 1, tzinfo=UTC))):
        assert sendgrid.retry_after(CIMultiDict(headers)) == seconds


@given(st.text(st.characters(codec="latin-1")), st.text(st.characters(codec="latin-1")))
def test_no_answer_breaks_the_reading_of_the_wait(after: str, reset: str) -> None:
    wait = sendgrid.retry_after({"retry-after": after, "x-ratelimit-reset": reset})

    assert wait is None or 0 <= wait <= 86_400


@pytest.mark.parametrize(
    ("changes", "variable"),
    [
        ({"sendgrid_key": ""}, "NOTIFY_SENDGRID_KEY"),
        ({"sendgrid_key": "SG.secret\nX-Other: 1"}, "NOTIFY_SENDGRID_KEY"),
        ({"sendgrid_url": "api.sendgrid.com"}, "NOTIFY_SENDGRID_URL"),
        ({"sendgrid_url": "http://host:port"}, "NOTIFY_SENDGRID_URL"),
        ({"email_from": "nobody"}, "NOTIFY_EMAIL_FROM"),
        ({"email_from": "zoë@example.com"}, "NOTIFY_EMAIL_FROM"),
    ],
)
def test_a_setting_that_cannot_work_names_its_variable(changes: dict[str, str], variable: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match=variable) as refused:
        catalog.providers(settings(tmp_path, email="sendgrid", **changes))

    assert "secret" not in str(refused.value)
