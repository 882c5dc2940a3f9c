"""The people of the benchmarks, and what they are told."""

from __future__ import annotations

from typing import Any

from notify.client import Notify

#: One in so many wants no e-mail.
OPTED_OUT = 10


def ids(count: int) -> list[str]:
    """Distinct people."""
    return [f"person-{number:06d}" for number in range(count)]


def address(person: str) -> str:
    """Where their e-mail goes; the sink reads the person from it."""
    return f"{person}@example.com"


def wants_email(person: str) -> bool:
    """False for one person in OPTED_OUT."""
    return int(person.rpartition("-")[2]) % OPTED_OUT != 0


def letters(people: list[str]) -> int:
    """How many e-mails they get."""
    return sum(wants_email(person) for person in people)


def save(notify: Notify, people: list[str]) -> None:
    """Import them with what they chose."""
    notify.subscribers.save(_person(person) for person in people)


def _person(person: str) -> dict[str, Any]:
    choice = {"workflow": None, "channel": "email", "enabled": False}
    return {
        "subscriberId": person,
        "email": address(person),
        "firstName": person.title(),
        "preferences": [] if wants_email(person) else [choice],
    }


def payload(person: str) -> dict[str, Any]:
    """What the shipped workflow `task-assigned` is told."""
    number = person.rpartition("-")[2]
    return {
        "taskId": f"T-{number}",
        "taskTitle": f"Look at the rows of page {number}",
        "assigneeId": person,
        "assigneeName": person.title(),
        "assignerId": "bo",
        "assignerName": "Bo Berg",
        "projectName": "House",
        "dueDate": "2031-05-05T12:00:00+00:00",
    }
