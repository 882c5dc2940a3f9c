"""A notice that nobody reads climbs: from the inbox to e-mail, from there to the phone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from notify.testing import Rehearsal, rehearsal
from tests.house.source import ROOT

NOTICE = {"title": "Your card was declined", "body": "We try again in two days.", "url": "https://shop.example/card"}


@pytest.fixture
def r() -> Iterator[Rehearsal]:
    with rehearsal("2026-03-02 09:00 Europe/Rome", flows=ROOT / "flows") as made:
        yield made


def test_what_stays_unread_climbs_from_the_inbox_to_email_to_sms(r: Rehearsal) -> None:
    r.trigger("escalation", to="ana", payload=NOTICE)
    assert r.sent("ana").channels == ["in_app"]

    r.advance("6h")
    assert r.sent("ana", "email").subjects == ["Your card was declined"]

    r.advance("24h")
    assert r.sent("ana", "sms").bodies == ["Your card was declined https://shop.example/card"]


def test_what_is_read_climbs_no_further(r: Rehearsal) -> None:
    r.trigger("escalation", to=["ana", "ben"], payload=NOTICE)
    r.read("ana", "notice")
    r.advance("6h")
    r.read("ben", "notice")
    r.advance("24h")

    assert r.sent("ana").channels == ["in_app"]
    assert r.sent("ben").channels == ["in_app", "email"]


@pytest.mark.parametrize(("premium", "online", "texts"), [(False, True, 0), (True, True, 1), (False, False, 1)])
def test_an_sms_is_for_those_who_pay_for_it_or_are_away(r: Rehearsal, premium: bool, online: bool, texts: int) -> None:
    r.person("ana", data={"premium": not premium})
    r.trigger("escalation", to="ana", payload=NOTICE)
    r.advance("6h")

    r.person("ana", data={"premium": premium})
    r.notify.subscribers.online("ana", online)
    r.advance("24h")

    assert len(r.sent("ana", "sms")) == texts
