"""Mails as the tests write them, and as their readers see them."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

from notify.model import Channel, Content, Dispatch, Outcome, OutcomeKind
from notify.settings import Settings


@dataclass(frozen=True)
class Received:
    """A mail as its reader sees it."""

    id: str
    to: str
    subject: str
    text: str | None
    html: str | None
    headers: dict[str, str] = field(default_factory=dict)


class Hang:
    """Where a server keeps the calls that it never answers."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self._over = asyncio.Event()

    async def wait(self) -> None:
        self.begun.set()
        await self._over.wait()

    def release(self) -> None:
        self._over.set()


def settings(home: Path, **changes: Any) -> Settings:
    facts: dict[str, Any] = {"email_from": "Zoë from notify <notify@example.com>", "sendgrid_key": "SG.key"} | changes
    return Settings(home=home, database_url="sqlite://", flows=home, **facts)


def mail(address: str = "ada@example.com", **changes: Any) -> Dispatch:
    facts: dict[str, Any] = {
        "id": f"m-{address.partition('@')[0]}",
        "channel": Channel.EMAIL,
        "content": Content(subject="Hello", body="<p>Hello</p>", text="Hello"),
        "workflow": "welcome",
        "subscriber": "u1",
    }
    return Dispatch(address=address, **facts | changes)


def read_mime(content: bytes) -> Received:
    message = message_from_bytes(content, policy=policy.default)
    parts = {part.get_content_type(): part.get_content() for part in message.walk() if not part.is_multipart()}
    return Received(
        id=message["Message-ID"].removeprefix("<").partition("@")[0],
        to=message["To"],
        subject=message["Subject"],
        text=parts.get("text/plain"),
        html=parts.get("text/html"),
        headers=dict(message.items()),
    )


def kinds(outcomes: list[Outcome]) -> list[OutcomeKind]:
    return [outcome.kind for outcome in outcomes]


def closed_port() -> int:
    """A port of loopback on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
