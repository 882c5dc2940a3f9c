"""The sample day, held to the stories that the demo tells with it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.resources import files
from types import NoneType
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from notify.intake import parse_subscriber
from notify.model import Channel

#: Seconds before a due date at which the two reminders are sent in the demo.
LEADS = pytest.mark.parametrize("lead", [20, 8], ids=["deadline-reminder", "deadline-urgent"])
#: The last second of the sample in which something is announced, and the length of a comment window.
LAST, WINDOW = 6, 10
#: Due dates up to here fall into the demo; later ones still wait when it ends.
SOON = 45

FIELDS: Mapping[str, Mapping[str, Any]] = {
    "task/assigned": {
        "taskId": str,
        "taskTitle": str,
        "assigneeId": str,
        "assigneeName": str,
        "assignerId": str,
        "assignerName": str,
        "projectName": str,
        "dueDate": (dict, NoneType),
    },
    "task/commented": {
        "taskId": str,
        "taskTitle": str,
        "commenterId": str,
        "commenterName": str,
        "commentText": str,
        "mentionedUserIds": list,
        "projectName": str,
    },
    "task/completed": {"taskId": str, "completedById": str},
}

Row = Mapping[str, Any]


def load(name: str) -> list[dict[str, Any]]:
    text = files("notify.sample").joinpath(f"{name}.ndjson").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


PEOPLE = {person["subscriberId"]: person for person in load("people")}
DAY = load("day")


def named(name: str) -> list[Row]:
    return [event for event in DAY if event["name"] == name]


def due(assigned: Row) -> float | None:
    date = assigned["data"]["dueDate"]
    return date and date["in"]


def later(event: Row, name: str) -> Iterable[Row]:
    return (
        one
        for one in named(name)
        if one["at"] > event["at"] and one["data"]["taskId"] == event["data"]["taskId"] and one["id"] != event["id"]
    )


def newer(event: Row) -> str | None:
    """What a newer assignment or the task's completion makes of the reminders of an older assignment."""
    for one in sorted([*later(event, "task/assigned"), *later(event, "task/completed")], key=lambda one: one["at"]):
        if one["name"] == "task/completed":
            return "completed"
        if one["data"]["assigneeId"] != event["data"]["assigneeId"]:
            return "reassigned"
        return "moved" if due(one) != due(event) else "superseded"
    return None


def outcome(assigned: Row, lead: float) -> str:
    instant = due(assigned)
    if instant is None:
        return "no_due_date"
    if instant - lead <= assigned["at"]:
        return "too_late"
    return newer(assigned) or ("sent" if instant <= SOON else "waiting")


def assignee(comment: Row) -> str | None:
    before = [one for one in named("task/assigned") if one["at"] <= comment["at"]]
    same = [one for one in before if one["data"]["taskId"] == comment["data"]["taskId"]]
    return same[-1]["data"]["assigneeId"] if same else None


def told(comment: Row) -> set[str]:
    data = comment["data"]
    return {*data["mentionedUserIds"], *filter(None, [assignee(comment)])} - {data["commenterId"]}


# --- the people ---------------------------------------------------------------------------------


@pytest.mark.parametrize("person", PEOPLE.values(), ids=PEOPLE.keys())
def test_every_person_is_one_that_intake_takes(person: Row) -> None:
    row, choices = parse_subscriber(person)

    assert row["id"] == person["subscriberId"]
    assert len(choices) == len(person["preferences"])
    assert person["timezone"] is None or ZoneInfo(person["timezone"])


def test_the_people_are_as_different_as_people_are() -> None:
    choices = [(one["workflow"], one["channel"]) for person in PEOPLE.values() for one in person["preferences"]]
    devices = [len(channel["credentials"]["deviceTokens"]) for one in PEOPLE.values() for channel in one["channels"]]

    assert len(PEOPLE) == 9
    assert len({person["timezone"] for person in PEOPLE.values()}) >= 6
    assert {"Asia/Kolkata", None} <= {person["timezone"] for person in PEOPLE.values()}
    assert any(not person["firstName"].isascii() for person in PEOPLE.values())
    assert [person["subscriberId"] for person in PEOPLE.values() if person["email"] is None] == ["nils"]
    assert choices == [(None, Channel.EMAIL), ("comment-digest", Channel.EMAIL)]
    assert 2 in devices
    assert len(devices) < len(PEOPLE)


# --- the events ---------------------------------------------------------------------------------


@pytest.mark.parametrize("event", DAY, ids=lambda event: event["id"])
def test_every_event_has_the_fields_of_its_kind_and_known_people(event: Row) -> None:
    data, fields = event["data"], FIELDS[event["name"]]

    assert set(event) == {"id", "name", "at", "data"}
    assert set(data) == set(fields)
    assert [name for name, kind in fields.items() if not isinstance(data[name], kind)] == []
    assert {data[name] for name in data if name.endswith("Id") and name != "taskId"} <= set(PEOPLE)
    assert set(data.get("mentionedUserIds", ())) <= set(PEOPLE)


@pytest.mark.parametrize("event", DAY, ids=lambda event: event["id"])
def test_people_are_called_by_their_own_names(event: Row) -> None:
    names = {id_: f"{person['firstName']} {person['lastName']}" for id_, person in PEOPLE.items()}

    for role in ("assignee", "assigner", "commenter"):
        if f"{role}Name" in event["data"]:
            assert event["data"][f"{role}Name"] == names[event["data"][f"{role}Id"]]


def test_a_task_keeps_its_title_and_project() -> None:
    told_of = [event["data"] for event in DAY if "taskTitle" in event["data"]]
    kinds = {(data["taskId"], data["taskTitle"], data["projectName"]) for data in told_of}

    assert len(kinds) == len({data["taskId"] for data in told_of})


def test_the_day_is_a_handful_of_events_in_order_of_which_one_comes_twice() -> None:
    twice = [id_ for id_, count in Counter(event["id"] for event in DAY).items() if count > 1]
    copies = [event for event in DAY if event["id"] in twice]

    assert 60 <= len(DAY) <= 80
    assert [event["at"] for event in DAY] == sorted(event["at"] for event in DAY)
    assert max(event["at"] for event in DAY) <= LAST
    assert len(copies) == 2
    assert copies[0] == copies[1]


# --- the stories --------------------------------------------------------------------------------


@LEADS
def test_reminders_end_in_every_way_there_is(lead: float) -> None:
    outcomes = Counter(outcome(event, lead) for event in named("task/assigned"))

    assert set(outcomes) == {"no_due_date", "too_late", "completed", "reassigned", "moved", "sent", "waiting"}
    assert outcomes["waiting"] == 2


@LEADS
def test_reminders_fire_after_the_news_and_before_the_end(lead: float) -> None:
    firing = [due(event) or 0 for event in named("task/assigned") if outcome(event, lead) == "sent"]

    assert firing
    assert all(instant - lead > LAST and instant <= SOON - 5 for instant in firing)


@LEADS
def test_what_ends_a_reminder_is_announced_before_it_would_fire(lead: float) -> None:
    ended = [event for event in named("task/assigned") if outcome(event, lead) in ("completed", "reassigned", "moved")]

    assert ended
    assert all((due(event) or 0) - lead > LAST for event in ended)


def test_a_task_is_taken_on_by_the_assigner_and_some_have_no_date() -> None:
    assigned = [event["data"] for event in named("task/assigned")]

    assert any(data["assignerId"] == data["assigneeId"] for data in assigned)
    assert any(data["dueDate"] is None for data in assigned)


def test_comments_come_in_bursts_larger_than_a_message_shows() -> None:
    windows = Counter[tuple[str, str, int]]()
    opened: dict[tuple[str, str], list[float]] = {}
    for event in named("task/commented"):
        for person in told(event):
            starts = opened.setdefault((event["data"]["taskId"], person), [])
            if not starts or event["at"] >= starts[-1] + WINDOW:
                starts.append(event["at"])
            windows[event["data"]["taskId"], person, len(starts)] += 1

    assert sum(size > 5 for size in windows.values()) >= 2
    assert sum(size > 2 for size in windows.values()) >= 4
    assert windows["T-101", "asha", 2] == 2


def test_some_comments_mention_people_and_some_concern_nobody() -> None:
    comments = named("task/commented")
    own = [one for one in comments if not told(one) and assignee(one) == one["data"]["commenterId"]]
    unheard = [one for one in comments if not told(one) and assignee(one) is None]

    assert any(one["data"]["mentionedUserIds"] for one in comments)
    assert len(own) >= 2
    assert len(unheard) >= 2


@pytest.mark.parametrize("hostile", ["<script>", "<img src=x onerror=", " & ", "a < b && b > c", "\n"])
def test_some_comments_would_break_a_careless_template(hostile: str) -> None:
    assert any(hostile in one["data"]["commentText"] and told(one) for one in named("task/commented"))
