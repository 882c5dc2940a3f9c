"""Somebody signs up: three services are asked, their answers waited for, and the person told what is there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from notify.testing import Rehearsal, rehearsal
from tests.house.source import ROOT


@pytest.fixture
def r() -> Iterator[Rehearsal]:
    with rehearsal("2026-03-26 10:00 Europe/Rome", flows=ROOT / "flows") as opened:
        opened.person("ana", timezone="Europe/Rome")
        opened.emit("user/signup.completed", {"userId": "ana", "email": "ana@example.com", "plan": "pro"})
        yield opened


def test_whoever_has_everything_hears_it_once_in_the_inbox(r: Rehearsal) -> None:
    r.emit("crm/contact.added", {"userId": "ana"})
    r.advance("2m")
    r.emit("email/welcome.sent", {"userId": "ana"})
    assert r.sent("ana") == []

    r.emit("subscription/trial.created", {"userId": "ana", "endsAt": r.at("2026-04-09 10:00")})

    assert r.sent("ana").bodies == ["Your Pro trial lasts until Thursday 9 April, 10:00."]


def test_what_does_not_come_in_five_minutes_is_not_waited_for(r: Rehearsal) -> None:
    r.emit("crm/contact.added", {"userId": "ana"})
    r.emit("email/welcome.sent", {"userId": "ben"})
    r.advance("5m")

    assert r.sent("ana").times == ["2026-03-26 10:05"] * 2
    assert r.sent("ana", "in_app").bodies == ["Your Pro trial is being set up."]
    assert r.sent("ana", "email").subjects == ["Welcome! Your account is ready"]


def test_an_answer_that_is_there_before_anybody_waits_counts(r: Rehearsal) -> None:
    ben = {"userId": "ben", "email": "ben@example.com", "plan": "free"}
    r.notify.emit("user/signup.completed", ben)
    for answer in ("email/welcome.sent", "crm/contact.added"):
        r.notify.emit(answer, {"userId": "ben"})
    r.emit("subscription/trial.created", {"userId": "ben", "endsAt": r.at("2026-04-09 10:00")})

    assert r.sent("ben").subjects == ["Your account is ready"]
