"""One contract, every provider. What only one of them can show is in the files beside this one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from notify.model import Channel, Content, Outcome, OutcomeKind
from tests.contracts.providers_mails import kinds, mail
from tests.contracts.providers_worlds import WORLDS, World, unreachable

NETWORKED = ["smtp", "sendgrid"]


@pytest.fixture
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with WORLDS[request.param](tmp_path) as made:
        yield made


everywhere = pytest.mark.parametrize("world", list(WORLDS), indirect=True)
#: The file provider composes mails, but no server answers it.
with_a_server = pytest.mark.parametrize("world", ["memory", *NETWORKED], indirect=True)
#: The memory provider keeps dispatches as they are.
with_real_mail = pytest.mark.parametrize("world", ["file", *NETWORKED], indirect=True)


# --- every provider ------------------------------------------------------------------------------


@everywhere
async def test_a_mail_is_accepted_and_arrives_whole(world: World) -> None:
    [outcome] = await world.provider.send([mail()])

    assert outcome.kind is OutcomeKind.ACCEPTED, outcome
    assert outcome.provider_message_id is not None
    assert "m-ada" in outcome.provider_message_id
    [got] = world.received()
    assert (got.id, got.to, got.subject) == ("m-ada", "ada@example.com", "Hello")
    assert (got.text or "").strip() == "Hello"
    assert (got.html or "").strip() == "<p>Hello</p>"


@everywhere
async def test_an_empty_batch_has_no_outcomes(world: World) -> None:
    assert await world.provider.send([]) == []


@everywhere
async def test_one_outcome_for_each_mail_in_order(world: World) -> None:
    batch = [mail(f"u{number}@example.com") for number in range(20)]

    outcomes = await world.provider.send(batch)

    assert kinds(outcomes) == [OutcomeKind.ACCEPTED] * 20
    for dispatch, outcome in zip(batch, outcomes, strict=True):
        assert dispatch.id in (outcome.provider_message_id or "")
    assert sorted(got.to for got in world.received()) == sorted(dispatch.address for dispatch in batch)


@everywhere
async def test_letters_beyond_ascii_arrive_as_written(world: World) -> None:
    content = Content(subject="Grüße, Zoë – 日本語 🎉" * 5, body="<p>Größe 🎉</p>", text="日本語\n" * 50)

    await world.provider.send([mail(content=content)])

    [got] = world.received()
    assert got.subject == content.subject
    assert (got.html or "").strip() == content.body
    assert (got.text or "").replace("\r\n", "\n").strip() == (content.text or "").strip()


@with_real_mail
@pytest.mark.parametrize(
    "subject",
    [
        "Hello\r\nBcc: eve@example.com",
        "Hello\nBcc: eve@example.com",
        "Hello\r\n\r\n<script>",
        "Hello\u2028Bcc: eve@example.com",
        "Hello\x0bBcc: eve@example.com",
        "=?utf-8?q?Hello=0D=0ABcc:_eve@example.com?=",
        "Hello\x00\n",
    ],
)
async def test_a_subject_cannot_become_another_header(world: World, subject: str) -> None:
    outcomes = await world.provider.send([mail(content=Content(subject=subject, body="Hi"))])

    assert kinds(outcomes) == [OutcomeKind.ACCEPTED]
    [got] = world.received()
    assert "Bcc" not in got.headers
    assert len(got.subject.splitlines()) == 1
    assert "Hello" in got.subject


@with_real_mail
@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "ada@",
        "@example.com",
        "ada@example.com\r\nBcc: eve@example.com",
        "ada@example.com, eve@example.com",
        "<ada@example.com>",
        "ada@example.com> SIZE=1 <eve@example.com",
        "ada lovelace@example.com",
        '"a\nb"@example.com',
    ],
)
async def test_what_is_not_one_address_is_rejected_before_anything_is_sent(world: World, address: str) -> None:
    outcomes = await world.provider.send([mail(address, id="bad"), mail()])

    assert kinds(outcomes) == [OutcomeKind.REJECTED, OutcomeKind.ACCEPTED]
    assert [got.id for got in world.received()] == ["m-ada"]


@with_real_mail
async def test_a_domain_beyond_ascii_is_written_in_ascii(world: World) -> None:
    await world.provider.send([mail("ada@bücher.example")])

    [got] = world.received()
    assert got.to == "ada@xn--bcher-kva.example"


@with_real_mail
async def test_half_an_emoji_does_not_lose_the_mail(world: World) -> None:
    outcomes = await world.provider.send(
        [mail(content=Content(subject="Hi \ud83d", body="<p>\ud83d\ude00 \ud83d</p>"))]
    )

    assert kinds(outcomes) == [OutcomeKind.ACCEPTED]
    [got] = world.received()
    assert got.subject == "Hi \ufffd"
    assert (got.html or "").strip() == "<p>😀 \ufffd</p>"


@with_real_mail
async def test_a_mail_without_a_text_part_is_html_only(world: World) -> None:
    await world.provider.send([mail(content=Content(subject="Hi", body="<p>Hi</p>"))])

    [got] = world.received()
    assert got.text is None
    assert (got.html or "").strip() == "<p>Hi</p>"


@with_real_mail
async def test_headers_arrive_unchanged_however_long(world: World) -> None:
    link = f"<https://example.com/unsubscribe/{'x' * 300}>"
    extra = {"headers": {"List-Unsubscribe": link, "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}}

    await world.provider.send([mail(content=Content(subject="Hi", body="Hi", extra=extra))])

    [got] = world.received()
    assert got.headers["List-Unsubscribe"] == link
    assert got.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


@with_real_mail
@pytest.mark.parametrize(
    "headers",
    [
        {"X-Mood": "good\r\nBcc: eve@example.com"},
        {"X-Mood\r\nBcc": "eve@example.com"},
        {"X-Mood: good\nBcc": "eve@example.com"},
        {"Bcc": "eve@example.com"},
        {"content-type": "text/plain"},
        {"X-Mood": 7},
        {"X-Mood": "good", "x-mood": "bad"},
        "X-Mood: good",
    ],
)
async def test_headers_that_are_not_one_line_of_text_are_rejected(world: World, headers: Any) -> None:
    outcomes = await world.provider.send([mail(content=Content("Hi", "Hi", extra={"headers": headers}))])

    assert kinds(outcomes) == [OutcomeKind.REJECTED]
    assert "eader" in (outcomes[0].detail or "")
    assert world.received() == []


@with_real_mail
async def test_what_a_provider_cannot_carry_is_said_and_not_dropped(world: World) -> None:
    with_extra = Content("Hi", "Hi", extra={"attachments": ["a.pdf"], "icon": None})

    [extra, channel, path] = await world.provider.send(
        [mail(content=with_extra), mail(channel=Channel.SMS), mail(id="../../m")]
    )

    assert kinds([extra, channel, path]) == [OutcomeKind.REJECTED] * 3
    assert "attachments" in (extra.detail or "")
    assert "icon" not in (extra.detail or "")
    assert "sms" in (channel.detail or "")
    assert "../../m" in (path.detail or "")


# --- every provider that is answered -------------------------------------------------------------


@with_a_server
async def test_a_refused_address_fails_alone(world: World) -> None:
    outcomes = await world.provider.send([mail("a@example.com"), mail("rejected@example.com"), mail("b@example.com")])

    assert kinds(outcomes) == [OutcomeKind.ACCEPTED, OutcomeKind.REJECTED, OutcomeKind.ACCEPTED]
    assert "no such user" in (outcomes[1].detail or "")
    assert sorted(got.to for got in world.received()) == ["a@example.com", "b@example.com"]


@with_a_server
async def test_a_throttled_mail_may_be_tried_again(world: World) -> None:
    [outcome] = await world.provider.send([mail("throttled@example.com")])

    assert outcome.kind is OutcomeKind.RETRY
    assert not outcome.never_connected


@with_a_server
async def test_a_server_that_hangs_leaves_one_mail_unknown(world: World) -> None:
    await world.provider.send([mail()])  # connected, so that the short time-out is for the call
    world.provider.timeout = 0.5

    hung, accepted = await world.provider.send([mail("hang@example.com"), mail("b@example.com")])

    assert hung.kind is OutcomeKind.UNKNOWN
    assert "0.5 s" in (hung.detail or "")
    assert accepted.kind is OutcomeKind.ACCEPTED


@with_a_server
async def test_a_connection_lost_after_the_mail_left_is_unknown(world: World) -> None:
    dropped, accepted = await world.provider.send([mail("drop@example.com"), mail("b@example.com")])

    assert dropped.kind is OutcomeKind.UNKNOWN
    assert accepted.kind is OutcomeKind.ACCEPTED


@with_a_server
async def test_cancelling_passes_through(world: World) -> None:
    await world.provider.send([mail()])
    sending = asyncio.ensure_future(world.provider.send([mail("hang@example.com")]))
    await world.hang.begun.wait()

    sending.cancel()

    with pytest.raises(asyncio.CancelledError):
        await sending
    assert kinds(await world.provider.send([mail("b@example.com")])) == [OutcomeKind.ACCEPTED]


@with_a_server
async def test_a_closed_provider_opens_again(world: World) -> None:
    await world.provider.send([mail()])
    await world.provider.aclose()
    await world.provider.aclose()

    assert kinds(await world.provider.send([mail("b@example.com")])) == [OutcomeKind.ACCEPTED]


@pytest.mark.parametrize("kind", NETWORKED)
async def test_a_refused_connection_may_be_tried_again(kind: str, tmp_path: Path) -> None:
    provider = unreachable(kind, tmp_path)

    outcomes = await provider.send([mail("a@example.com"), mail("b@example.com")])
    await provider.aclose()

    assert kinds(outcomes) == [OutcomeKind.RETRY] * 2
    assert [outcome.never_connected for outcome in outcomes] == [True, True]


@pytest.mark.parametrize("kind", NETWORKED)
def test_a_provider_survives_its_event_loop(kind: str, tmp_path: Path) -> None:
    provider = unreachable(kind, tmp_path)

    async def send() -> list[Outcome]:
        try:
            return await provider.send([mail()])
        finally:
            await provider.aclose()

    assert kinds([*asyncio.run(send()), *asyncio.run(send())]) == [OutcomeKind.RETRY] * 2
