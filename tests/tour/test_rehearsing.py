"""How a workflow is tested: somebody says what happened, time passes, and one looks at what people were sent.

The workflows are those of `flows/`. Read this first. `pytest tests/tour/test_rehearsing.py --notify-prefect` does the
same through a real Prefect server, with a flow run for each batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from notify.model import Channel, Outcome, OutcomeKind
from notify.testing import Rehearsal, rehearsal
from tests.house.source import ROOT


@pytest.fixture
def r() -> Iterator[Rehearsal]:
    """Thursday, ten in the morning in Rome. The clock stands still until `advance`."""
    with rehearsal("2026-03-26 10:00 Europe/Rome", flows=ROOT / "flows") as opened:
        yield opened


def assigned(to: str, due: datetime | None = None, by: str = "Bo", title: str = "Write it") -> dict[str, Any]:
    """What the application says when somebody gets a task."""
    whose = {"assigneeId": to, "assigneeName": to.title(), "assignerId": by.lower(), "assignerName": by}
    return {"taskId": "T-1", "taskTitle": title, "projectName": "House", "dueDate": due, **whose}


def commented(by: str, text: str) -> dict[str, Any]:
    """What it says when somebody comments on the task."""
    who = {"commenterId": by, "commenterName": by.title(), "commentText": text, "mentionedUserIds": []}
    return {"taskId": "T-1", "taskTitle": "Write it", "projectName": "House", **who}


def test_whoever_gets_a_task_is_told_at_once_on_every_channel(r: Rehearsal) -> None:
    r.emit("task/assigned", assigned("ana"))

    assert r.sent("ana").channels == ["in_app", "email", "push"]
    assert r.sent("ana", "email").subjects == ["Bo assigned you “Write it”"]


def test_whoever_switched_email_off_is_told_on_the_other_channels(r: Rehearsal) -> None:
    r.prefer("ana", "task-assigned", "email", False)

    r.emit("task/assigned", assigned("ana"))

    assert r.sent("ana").channels == ["in_app", "push"]


def test_a_reminder_comes_a_day_before_the_task_is_due(r: Rehearsal) -> None:
    r.emit("task/assigned", assigned("ana", due=r.at("2026-03-30 18:00")))

    r.advance_to("2026-03-29 18:00")

    (reminder,) = [mail for mail in r.sent("ana", "push") if mail.workflow == "deadline-reminder"]
    assert f"{reminder.at:%A %H:%M}" == "Sunday 18:00"  # by her clock, although it was put forward that night


def test_a_task_that_is_done_reminds_nobody(r: Rehearsal) -> None:
    r.emit("task/assigned", assigned("ana", due=r.at("2026-03-30 18:00")))
    r.emit("task/completed", {"taskId": "T-1", "completedById": "ana"})

    r.advance("7d")

    assert "deadline-reminder" not in [mail.workflow for mail in r.sent("ana")]
    assert "deadline-reminder: cancelled, completed" in r.explain()


def test_a_burst_of_comments_is_one_message(r: Rehearsal) -> None:
    r.emit("task/assigned", assigned("ana"))
    for minute in range(3):
        r.emit("task/commented", commented("bo", f"Remark {minute}"))
        r.advance("1m")

    r.advance("15m")

    (mail,) = [mail for mail in r.sent("ana", "email") if mail.workflow == "comment-digest"]
    assert "Remark 0" in mail.body
    assert "Remark 2" in mail.body
    assert f"{mail.at:%H:%M}" == "10:15"  # a quarter of an hour after the first


def test_the_daily_digest_comes_at_nine_wherever_somebody_is(r: Rehearsal) -> None:
    r.person("cy", timezone="America/New_York")
    for who in ("ana", "cy"):
        r.emit("task/assigned", assigned(who))

    r.advance("1d")

    digests = [mail for mail in r.sent(channel="email") if mail.workflow == "daily-digest"]
    assert [(mail.person, f"{mail.at:%a %H:%M}") for mail in digests] == [("cy", "Thu 09:00"), ("ana", "Fri 09:00")]


def test_a_provider_that_refuses_for_a_while_is_asked_again(r: Rehearsal) -> None:
    email = r.providers[Channel.EMAIL]
    email.script = lambda mail: Outcome(OutcomeKind.RETRY, detail="busy")
    r.emit("task/assigned", assigned("ana"))
    email.script = None
    assert not r.sent("ana", "email")

    r.advance("1m")

    assert r.sent("ana", "email").times == ["2026-03-26 10:00:10"]


def test_who_has_got_enough_for_a_day_gets_the_rest_in_one_message() -> None:
    limits = {"NOTIFY_BUDGET": "email: 2/day", "NOTIFY_BUDGET_OVERFLOW": "digest"}
    with rehearsal("2026-03-26 10:00 Europe/Rome", flows=ROOT / "flows", settings=limits) as r:
        for number in range(5):
            r.emit("task/assigned", assigned("ana", title=f"Task {number}"))

        r.advance("4h")

        *_, last = r.sent("ana", "email")
        assert (last.workflow, last.subject) == ("overflow-digest", "3 messages you did not get one by one")
