"""Every message that ships, filled in with plausible values: would a person be glad to get it?"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from notify.model import Content, Subscriber
from notify.rendering import Templates
from notify.steps import Burst, Collected
from tests.rooms.rendering_world import APP, ASHA, HOSTILE

SHIPPED = Path(__file__).parents[2] / "flows" / "templates"
NOON = datetime(2026, 10, 2, 12, tzinfo=UTC)
TASK: dict[str, Any] = {
    "taskId": "T 1/2",
    "taskTitle": "Fix the <b>login</b> & its tests",
    "assigneeId": "asha",
    "assigneeName": "Asha",
    "assignerId": "zoe",
    "assignerName": "Zoë",
    "projectName": "R&D",
    "dueDate": NOON.isoformat(),
}
LINK = f"{APP}/tasks/T%201%2F2"


def comment(number: int, author: str, text: str = HOSTILE, *mentioned: str) -> Collected:
    said = {"commenterId": author, "commenterName": author, "commentText": text, "mentionedUserIds": list(mentioned)}
    return Collected(str(number), "task/commented", NOON, {**TASK, **said})


BURST = Burst([comment(1, "Zoë", "first", "asha"), *(comment(number, f"P{number}") for number in range(2, 9))])
NEWS: dict[str, Any] = {
    "tasks": [
        {
            "id": "T 1/2",
            "title": TASK["taskTitle"],
            "project": "R&D",
            "comments": [{"author": "Zoë", "text": HOSTILE}],
            "comment_count": 4,
            "assigned_by": "Zoë",
            "due": NOON,
        },
        {
            "id": "2",
            "title": "Write",
            "project": "Office",
            "comments": [],
            "comment_count": 0,
            "assigned_by": None,
            "due": None,
        },
    ],
    "total": 5,
}
FAILURE = {"function_id": "comment-digest", "run_id": "r-1", "error": {"message": HOSTILE, "stack": "line 1\n  line 2"}}
OVERFLOW = Burst(
    [
        Collected(str(number), "notify/budget.exceeded", NOON, {"subject": HOSTILE, "channel": "email"})
        for number in range(25)
    ]
)
NOTICE = {"title": TASK["taskTitle"], "body": HOSTILE, "url": LINK}
SIGN_UP = {"userId": "asha", "email": "asha@example.com", "plan": "pro", "stripeCustomerId": None}
TITLE = "“Fix the <b>login</b> & its tests”"

CASES: dict[str, tuple[str, Any, dict[str, Any], str]] = {
    "assigned": ("task-assigned/assigned", TASK, {}, f"Zoë assigned you {TITLE}"),
    "undated": ("task-assigned/assigned", {**TASK, "dueDate": None}, {}, f"Zoë assigned you {TITLE}"),
    "self-assigned": ("task-assigned/assigned", {**TASK, "assignerId": "asha"}, {}, f"You took on {TITLE}"),
    "reminder": ("deadline-reminder/due", TASK, {"hours": 24.0}, f"Due in 24 hours: {TITLE}"),
    "urgent": ("deadline-urgent/due", TASK, {}, f"Due in 1 hour: {TITLE}"),
    "comments": ("comment-digest/comments", TASK, {"burst": BURST}, f"Zoë, P2 and 6 others commented on {TITLE}"),
    "one comment": (
        "comment-digest/comments",
        TASK,
        {"burst": Burst([comment(1, "Zoë")])},
        f"Zoë commented on {TITLE}",
    ),
    "day": ("daily-digest/day", {}, {"day": NEWS}, f"Your day: {TITLE} and 1 other task"),
    "week": ("weekly-digest/week", {}, {"day": NEWS}, f"Your week: {TITLE} and 1 other task"),
    "overflow": ("overflow-digest/rest", {}, {"burst": OVERFLOW}, "25 messages you did not get one by one"),
    "notice": ("escalation/notice", NOTICE, {}, "Fix the <b>login</b> & its tests"),
    "newcomer": ("onboarding/ready", SIGN_UP, {"ends": NOON.isoformat()}, "Welcome! Your account is ready"),
    "trial to come": ("onboarding/ready", SIGN_UP, {"ends": None}, "Welcome! Your account is ready"),
    "failure": ("alert-on-failure/alert", FAILURE, {}, f"comment-digest failed: {HOSTILE}"),
}


def shipped(case: str, channel: str, subscriber: Subscriber = ASHA) -> Content:
    place, payload, arguments, _ = CASES[case]
    workflow, _, step = place.partition("/")
    template = Templates([SHIPPED], {"app_url": APP}).find(workflow, step, channel, "pt-BR")
    return template.render({"subscriber": subscriber, "payload": payload, "workflow": workflow, **arguments})


def test_every_shipped_file_is_tried_here() -> None:
    templates = Templates([SHIPPED], {})
    folders = [folder.name for folder in SHIPPED.iterdir() if folder.is_dir()]
    files = {f"{folder}/{step}" for folder in folders for step, _ in templates.messages(folder)}

    assert {place for place, *_ in CASES.values()} == files


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("subscriber", [ASHA, Subscriber("asha")], ids=["known", "unknown"])
def test_every_shipped_email_reads_well(case: str, subscriber: Subscriber) -> None:
    content = shipped(case, "email", subscriber)

    assert content.subject == CASES[case][3]
    assert content.body.startswith("<!doctype html>")
    assert [word for word in ("<script", "<img", "<b>", "None") if word in content.body] == []
    assert "You get this because" in content.body
    assert content.text is not None
    assert f"change what you receive <{APP}/settings/notifications>" in content.text
    assert "font-size" not in content.text
    assert "  " not in content.text.replace("\n", "")


@pytest.mark.parametrize("case", CASES)
def test_every_shipped_inbox_message_reads_well(case: str) -> None:
    content = shipped(case, "in_app")

    assert content.subject
    assert content.body
    assert "None" not in content.body
    assert case == "failure" or content.extra["redirect"]["url"].startswith(f"{APP}/tasks")


@pytest.mark.parametrize("case", ["assigned", "undated", "self-assigned", "reminder", "urgent"])
def test_every_shipped_push_message_is_short_and_names_the_task(case: str) -> None:
    content = shipped(case, "push")

    assert TASK["taskTitle"] in content.body
    assert len(f"{content.subject} {content.body}") < 120


def test_every_shipped_text_message_fits_into_one_and_says_where_to_go() -> None:
    content = shipped("notice", "sms")

    assert content == Content(None, f"{TASK['taskTitle']} {LINK}")
    assert len(content.body) <= 160


@pytest.mark.parametrize("case", ["assigned", "reminder", "urgent", "comments", "notice"])
def test_the_button_opens_the_task(case: str) -> None:
    content = shipped(case, "email")

    assert f'href="{LINK}"' in content.body
    assert f"<{LINK}>" in (content.text or "")
    assert shipped(case, "in_app").extra["primaryAction"]["redirect"]["url"] == LINK


def test_a_due_date_is_said_in_the_person_s_own_zone() -> None:
    assert "Friday 2 October, 17:30" in (shipped("reminder", "email").text or "")
    assert "Friday 2 October, 12:00 UTC" in (shipped("reminder", "email", Subscriber("asha")).text or "")


def test_a_newcomer_hears_until_when_their_trial_lasts_or_that_it_is_to_come() -> None:
    for channel in ("email", "in_app"):
        told, to_come = (shipped(case, channel) for case in ("newcomer", "trial to come"))

        assert "Friday 2 October, 17:30" in (told.text or told.body)
        assert "Your Pro trial is being set up." in (to_come.text or to_come.body)


def test_a_burst_shows_five_comments_and_counts_them_all() -> None:
    text = shipped("comments", "email").text or ""

    assert "8 new comments" in text
    assert "Zoë mentioned you:\n\nfirst" in text
    assert text.count(HOSTILE) == 4
    assert "and 3 more" in text
    assert "and 3 more" in shipped("comments", "in_app").body
    assert "more" not in shipped("one comment", "in_app").body


def test_what_a_budget_kept_back_is_listed_and_the_rest_is_counted() -> None:
    text = shipped("overflow", "email").text or ""

    assert text.count(HOSTILE) == 20
    assert "and 5 more" in text
    assert "22 others" in shipped("overflow", "in_app").body


def test_a_summary_links_each_task_and_counts_what_it_leaves_out() -> None:
    text = shipped("day", "email").text or ""

    assert "2 tasks, 4 comments" in text
    assert f"Fix the <b>login</b> & its tests <{LINK}>" in text
    assert "and 3 more comments" in text
    assert f"Write <{APP}/tasks/2>" in text
