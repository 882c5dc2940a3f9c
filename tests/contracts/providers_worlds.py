"""Every provider in a small outside world of its own, where a mail fares as its address says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from notify.channels.base import Provider
from notify.channels.file import FileProvider
from notify.channels.memory import MemoryProvider
from notify.channels.sendgrid import SendGridProvider
from notify.channels.smtp import SmtpProvider
from notify.model import Channel, Dispatch, Outcome, OutcomeKind
from tests.contracts.providers_mails import Hang, Received, closed_port, read_mime, settings
from tests.contracts.providers_sendgrid import sendgrid_world
from tests.contracts.providers_smtp import smtp_world


class World(Protocol):
    hang: Hang

    @property
    def provider(self) -> Provider: ...

    def received(self) -> list[Received]: ...


# --- files ---------------------------------------------------------------------------------------


class FileWorld:
    def __init__(self, home: Path) -> None:
        self.hang = Hang()
        self.folder = settings(home).sent / "email"
        self.provider = FileProvider(settings(home), Channel.EMAIL)

    def received(self) -> list[Received]:
        return [read_mime(file.read_bytes()) for file in sorted(self.folder.glob("*"))]


@asynccontextmanager
async def file_world(home: Path) -> AsyncIterator[World]:
    yield FileWorld(home)


# --- memory --------------------------------------------------------------------------------------


class MemoryWorld:
    def __init__(self) -> None:
        self.hang = Hang()
        self.provider = MemoryProvider(script=self._answer)

    def received(self) -> list[Received]:
        return [
            Received(one.id, one.address, one.content.subject or "", one.content.text, one.content.body)
            for one in self.provider.accepted
        ]

    async def _answer(self, dispatch: Dispatch) -> Outcome:
        match dispatch.address.partition("@")[0]:
            case "rejected":
                return Outcome(OutcomeKind.REJECTED, detail="no such user")
            case "throttled":
                return Outcome(OutcomeKind.RETRY, detail="try later")
            case "hang":
                await self.hang.wait()
            case "drop":
                raise ConnectionResetError("gone")
        return Outcome(OutcomeKind.ACCEPTED, provider_message_id=dispatch.id)


@asynccontextmanager
async def memory_world(home: Path) -> AsyncIterator[World]:
    yield MemoryWorld()


def unreachable(kind: str, home: Path) -> Provider:
    """The provider, configured with a port on which nobody listens."""
    port = closed_port()
    if kind == "smtp":
        return SmtpProvider(settings(home, smtp_url=f"smtp://127.0.0.1:{port}"))
    return SendGridProvider(settings(home, sendgrid_url=f"http://127.0.0.1:{port}"))


WORLDS: dict[str, Any] = {
    "file": file_world,
    "memory": memory_world,
    "smtp": smtp_world,
    "sendgrid": sendgrid_world,
}
