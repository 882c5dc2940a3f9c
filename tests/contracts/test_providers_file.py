"""The providers without a server, and the catalogue that knows all of them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from notify import clock
from notify.channels import catalog
from notify.channels.file import FileProvider
from notify.channels.memory import MemoryProvider
from notify.errors import InvalidSetting
from notify.model import Channel, Content, Outcome, OutcomeKind
from tests.contracts.providers_mails import kinds, mail, read_mime, settings


async def test_a_mail_is_a_real_mime_file(tmp_path: Path) -> None:
    provider = FileProvider(settings(tmp_path), Channel.EMAIL)
    at = datetime(2026, 1, 2, 9, 30, tzinfo=UTC)

    with clock.use(clock.Frozen(at)):
        await provider.send([mail(id="0190-1")])

    content = (tmp_path / "sent" / "email" / "0190-1.eml").read_bytes()
    got = read_mime(content)
    assert content.isascii()
    assert got.headers["Message-ID"] == "<0190-1@example.com>"
    assert got.headers["From"] == "Zoë from notify <notify@example.com>"
    assert got.headers["Date"] == "Fri, 02 Jan 2026 09:30:00 +0000"
    assert got.headers["Content-Type"].startswith("multipart/alternative")
    assert content.index(b"text/plain") < content.index(b"text/html")


async def test_sending_an_id_again_replaces_its_file(tmp_path: Path) -> None:
    provider = FileProvider(settings(tmp_path), Channel.EMAIL)
    again = replace(mail(), attempt=2, content=Content("Again", "<p>Again</p>"))

    outcomes = [*await provider.send([mail()]), *await provider.send([again])]

    assert provider.idempotent
    assert kinds(outcomes) == [OutcomeKind.ACCEPTED] * 2
    [file] = (tmp_path / "sent" / "email").iterdir()
    assert read_mime(file.read_bytes()).subject == "Again"


@pytest.mark.parametrize("channel", [Channel.EMAIL, Channel.PUSH, Channel.SMS])
async def test_a_folder_that_cannot_be_made_is_tried_again(channel: Channel, tmp_path: Path) -> None:
    (tmp_path / "sent").write_text("in the way")

    [outcome] = await FileProvider(settings(tmp_path), channel).send([mail(channel=channel)])

    assert outcome.kind is OutcomeKind.RETRY
    assert "sent" in (outcome.detail or "")


async def test_a_file_that_cannot_be_written_is_tried_again_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "sent" / "email"
    (folder / "m-a.eml").mkdir(parents=True)

    outcomes = await FileProvider(settings(tmp_path), Channel.EMAIL).send(
        [mail("a@example.com"), mail("b@example.com")]
    )

    assert kinds(outcomes) == [OutcomeKind.RETRY, OutcomeKind.ACCEPTED]
    assert sorted(file.name for file in folder.iterdir()) == ["m-a.eml", "m-b.eml"]


async def test_a_push_message_is_a_json_file(tmp_path: Path) -> None:
    provider = FileProvider(settings(tmp_path), Channel.PUSH)
    content = Content("Grüße", "Größe \ud83d", extra={"data": {"task": 7}, "icon": "bell"})

    [outcome] = await provider.send([mail("token-1", id="p-1", channel=Channel.PUSH, content=content)])

    assert outcome.kind is OutcomeKind.ACCEPTED
    page = json.loads((tmp_path / "sent" / "push" / "p-1.json").read_text())
    assert page["token"] == "token-1"
    assert (page["title"], page["body"]) == ("Grüße", "Größe \ud83d")
    assert page["extra"] == {"data": {"task": 7}, "icon": "bell"}


async def test_a_text_message_is_a_json_file(tmp_path: Path) -> None:
    provider, at = FileProvider(settings(tmp_path), Channel.SMS), datetime(2026, 1, 2, 9, 30, tzinfo=UTC)

    with clock.use(clock.Frozen(at)):
        [outcome] = await provider.send(
            [mail("+390612345", id="s-1", channel=Channel.SMS, content=Content(None, "Größe"))]
        )

    assert outcome.kind is OutcomeKind.ACCEPTED
    assert json.loads((tmp_path / "sent" / "sms" / "s-1.json").read_text()) == {
        "id": "s-1",
        "phone": "+390612345",
        "body": "Größe",
        "workflow": "welcome",
        "subscriber": "u1",
        "attempt": 1,
        "date": at.isoformat(),
    }


async def test_a_text_message_carries_nothing_but_text(tmp_path: Path) -> None:
    content = Content(None, "Hi", extra={"image": "cat.png"})

    [outcome] = await FileProvider(settings(tmp_path), Channel.SMS).send([mail(channel=Channel.SMS, content=content)])

    assert outcome == Outcome(
        OutcomeKind.REJECTED, detail="file cannot carry image; leave it out or use another provider"
    )


async def test_push_content_that_is_not_json_is_rejected(tmp_path: Path) -> None:
    content = Content("Hi", "Hi", extra={"data": {"at": object()}})

    [outcome] = await FileProvider(settings(tmp_path), Channel.PUSH).send([mail(channel=Channel.PUSH, content=content)])

    assert outcome.kind is OutcomeKind.REJECTED


async def test_memory_answers_as_told_and_remembers() -> None:
    answers = iter([Outcome(OutcomeKind.RETRY), Outcome(OutcomeKind.ACCEPTED)])
    provider = MemoryProvider(Channel.SMS, lambda dispatch: next(answers))

    await provider.send([mail(channel=Channel.SMS)])
    await provider.send([mail(channel=Channel.SMS)])

    assert (len(provider.calls), len(provider.accepted)) == (2, 1)
    assert provider.to("u1") == provider.to("ada@example.com") == provider.accepted
    assert provider.to("somebody else") == []
    provider.clear()
    assert provider.calls == provider.accepted == []


async def test_an_idempotent_memory_keeps_one_copy() -> None:
    provider = MemoryProvider(idempotent=True)

    outcomes = [*await provider.send([mail()]), *await provider.send([mail()])]

    assert kinds(outcomes) == [OutcomeKind.ACCEPTED] * 2
    assert (len(provider.calls), len(provider.accepted)) == (2, 1)


@pytest.mark.parametrize("email", ["file", "smtp", "sendgrid"])
def test_the_setting_chooses_the_provider(email: str, tmp_path: Path) -> None:
    found = catalog.providers(settings(tmp_path, email=email))

    assert {channel: provider.id for channel, provider in found.items()} == {
        Channel.EMAIL: email,
        Channel.PUSH: "file",
        Channel.SMS: "file",
    }
    assert all(provider.channel is channel for channel, provider in found.items())


def test_an_unknown_provider_is_an_invalid_setting(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="NOTIFY_EMAIL"):
        catalog.providers(settings(tmp_path, email="pigeon"))
