"""E-mail over SendGrid's v3 Mail Send API: `POST /v3/mail/send`, one request for each message."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parseaddr, parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import aiohttp
from yarl import URL

from notify import clock
from notify.channels import base, http, mail
from notify.channels.base import Call, Stage
from notify.errors import InvalidSetting
from notify.model import Channel, Dispatch, Outcome, OutcomeKind
from notify.settings import Settings

#: The name under which our message id travels; SendGrid's event webhook gives it back beside each event.
MESSAGE_ID = "notify_message_id"
#: The longest wait taken from an answer, in seconds: a day.
_LONGEST_WAIT = 86_400.0


class SendGridProvider:
    """202 is ACCEPTED, with `X-Message-Id`; 429 and 5xx are RETRY, after the wait the answer asks for; every other
    answer is REJECTED with its text. No answer is UNKNOWN, no connection RETRY. Not idempotent: SendGrid has no key
    for it. One session for each event loop is kept.
    """

    id = "sendgrid"
    channel = Channel.EMAIL
    idempotent = False

    def __init__(
        self,
        settings: Settings,
        *,
        timeout: float = 10,
        concurrency: int = 64,
    ) -> None:
        self.timeout = timeout
        self.concurrency = concurrency
        self._sender = mail.Sender.of(settings)
        self._key = _key(settings)
        self._url = _url(settings)
        self._posts = http.Posts(
            self._url,
            {"Authorization": f"Bearer {self._key}"},
            connections=concurrency,
            # Connecting is given half the time, so that the limit on the whole call never falls while connecting.
            connect=timeout / 2,
        )

    async def send(self, dispatches: Sequence[Dispatch]) -> list[Outcome]:
        """One request for each message, `concurrency` at once."""
        return await base.send_each(dispatches, self._send, concurrency=self.concurrency, timeout=self.timeout)

    async def aclose(self) -> None:
        """Close the running loop's session."""
        await self._posts.aclose()

    async def _send(self, call: Call) -> Outcome:
        page = payload(mail.read(call.dispatch, self.id), self._sender)
        call.stage = Stage.HANDED_OVER
        try:
            answer = await self._posts.post(page)
        except aiohttp.ClientError as problem:
            if http.never_connected(problem):
                call.stage = Stage.CONNECTING
            return call.lost(base.describe(problem))
        return _outcome(answer)


def payload(letter: mail.Letter, sender: mail.Sender) -> dict[str, Any]:
    """The request's body. SendGrid wants text/plain before text/html, and Reply-To in a field of its own."""
    headers = dict(letter.headers)
    replies = [headers.pop(name) for name in letter.headers if name.lower() == "reply-to"]
    parts = (("text/plain", letter.text), ("text/html", letter.html))
    page: dict[str, Any] = {
        "personalizations": [{"to": [{"email": letter.to}]}],
        "from": _person(sender.name, sender.address),
        "subject": letter.subject,
        "content": [{"type": kind, "value": text} for kind, text in parts if text],
        "custom_args": {MESSAGE_ID: letter.id},
    }
    if headers:
        page["headers"] = headers
    if replies:
        page["reply_to"] = _person(*parseaddr(replies[0]))
    return page


def _person(name: str, address: str) -> dict[str, str]:
    return {"email": address, "name": name} if name else {"email": address}


def _outcome(answer: http.Answer) -> Outcome:
    status = answer.status
    if status == HTTPStatus.ACCEPTED:
        return Outcome(OutcomeKind.ACCEPTED, provider_message_id=answer.headers.get("x-message-id"))
    detail = base.excerpt(f"HTTP {status} {answer.text}")
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= 500:
        return Outcome(OutcomeKind.RETRY, detail=detail, retry_after=retry_after(answer.headers))
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        detail += " (check NOTIFY_SENDGRID_KEY and that NOTIFY_EMAIL_FROM is a verified sender)"
    return Outcome(OutcomeKind.REJECTED, detail=detail)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from 0 to a day, as `Retry-After` says (RFC 9110, 10.2.3: seconds or a date).

    Without it SendGrid's `X-RateLimit-Reset` (Unix seconds) counts; None when neither can be read.
    """
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]+", value):
        return min(float(value), _LONGEST_WAIT)
    instant = _http_date(value) or _unix(headers.get("x-ratelimit-reset", ""))
    if instant is None:
        return None
    return min(max((instant - clock.now()).total_seconds(), 0.0), _LONGEST_WAIT)


def _http_date(value: str) -> datetime | None:
    try:
        instant = parsedate_to_datetime(value)
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _unix(value: str) -> datetime | None:
    # Twelve digits reach past the year 9999, which datetime does not.
    return datetime.fromtimestamp(int(value), UTC) if re.fullmatch(r"[0-9]{1,11}", value) else None


def _key(settings: Settings) -> str:
    key = settings.sendgrid_key.strip()
    if re.fullmatch(r"[!-~]+", key):
        return key
    raise InvalidSetting(
        name="NOTIFY_SENDGRID_KEY",
        # A broken key is still a secret.
        value="…" if key else "",
        problem="it has blanks or letters beyond ASCII" if key else "SendGrid needs an API key",
        remedy="Make one with the right Mail Send at https://app.sendgrid.com/settings/api_keys and set the variable, "
        "or set NOTIFY_EMAIL=file",
    )


def _url(settings: Settings) -> str:
    with suppress(ValueError):
        url = URL(settings.sendgrid_url)
        if url.scheme in ("http", "https") and url.host:
            return f"{settings.sendgrid_url.rstrip('/')}/v3/mail/send"
    raise InvalidSetting(
        name="NOTIFY_SENDGRID_URL",
        value=settings.sendgrid_url,
        problem="it is not a web address",
        remedy="Use https://api.sendgrid.com, https://api.eu.sendgrid.com, or leave the variable out",
    )
