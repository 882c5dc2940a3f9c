"""Where a channel reaches a person."""

from __future__ import annotations

from typing import Any

import pytest

from notify.channels.catalog import address
from notify.model import Channel, Subscriber


def device(provider: str, *tokens: object) -> dict[str, Any]:
    return {"providerId": provider, "credentials": {"deviceTokens": list(tokens)}}


ADA = Subscriber(
    "u1",
    email=" ada@example.com ",
    phone="+4915112345678",
    channels=[
        device("fcm", "t1", "t2"),
        {"providerId": "slack", "credentials": {"webhookUrl": "https://x"}},
        device("apns", "t3"),
    ],
)


@pytest.mark.parametrize(
    ("channel", "addresses"),
    [
        (Channel.EMAIL, ["ada@example.com"]),
        (Channel.SMS, ["+4915112345678"]),
        (Channel.PUSH, ["t1", "t2", "t3"]),
        (Channel.IN_APP, []),
        (Channel.CHAT, []),
        (Channel.WEBHOOK, []),
    ],
)
def test_each_channel_has_its_addresses(channel: Channel, addresses: list[str]) -> None:
    assert address(channel, ADA) == addresses


@pytest.mark.parametrize("channel", list(Channel))
def test_a_person_of_whom_nothing_is_known_has_no_address(channel: Channel) -> None:
    assert address(channel, Subscriber("u2")) == []


@pytest.mark.parametrize("text", ["", "  ", "\n", "ada@example.com\neve@example.com", "ada@example.com\u2028x"])
def test_a_blank_or_broken_text_is_no_address(text: str) -> None:
    assert address(Channel.EMAIL, Subscriber("u1", email=text)) == []
    assert address(Channel.SMS, Subscriber("u1", phone=text)) == []
    assert address(Channel.PUSH, Subscriber("u1", channels=[device("fcm", text)])) == []


def test_a_device_registered_twice_is_told_once() -> None:
    person = Subscriber("u1", channels=[device("fcm", "t1", "t2"), device("expo", "t2", "t1")])

    assert address(Channel.PUSH, person) == ["t1", "t2"]


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"credentials": None},
        {"credentials": ["t1"]},
        {"credentials": {}},
        {"credentials": {"deviceTokens": None}},
        {"credentials": {"deviceTokens": "t1"}},
        device("fcm", None, 7, ["t1"]),
    ],
)
def test_an_entry_of_another_shape_holds_no_token(entry: dict[str, Any]) -> None:
    assert address(Channel.PUSH, Subscriber("u1", channels=[entry, device("fcm", "t9")])) == ["t9"]
