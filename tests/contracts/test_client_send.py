"""Sending one person something now, on both databases: the answer is what is then decided."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from notify.channels import catalog
from notify.errors import InvalidInput
from notify.model import Channel
from notify.store import decisions
from notify.store.tables import events, notifications
from tests.world import World, migrated

SOURCE = """
class Order(BaseModel):
    orderId: str


@workflow("order-shipped")
async def shipped(n: Notification[Order]) -> None:
    await n.in_app("note")
    await n.email("note")
    await n.push("note")


@workflow("quiet", preferences={"push": False})
async def quiet(n: Notification[dict[str, Any]]) -> None:
    await n.all(n.email("note"), n.push("note"))


@workflow("alarm", critical=True)
async def alarm(n: Notification[dict[str, Any]]) -> None:
    await n.email("note")
"""
CHANNELS = ("in_app", "email", "push")
TEMPLATES = ["quiet/note.email", "quiet/note.push", "alarm/note.email"]
ORDER = {"orderId": "o1"}
Answers = list[dict[str, Any]]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    return migrated(request, request.param)


@pytest.fixture
def world(tmp_path: Path, url: str) -> Iterator[World]:
    with World(tmp_path, url) as made:
        made.workflow(SOURCE, *TEMPLATES, *(f"order-shipped/note.{one}" for one in CHANNELS))
        made.people("ann", "no-email", "no-push")
        made.notify.preferences.set("no-email", None, "email", False)
        made.notify.preferences.set("no-push", "order-shipped", "push", False)
        yield made


def decided(world: World) -> dict[str, tuple[Any, ...]]:
    """What the engine decided in each channel step before anything was delivered, by message."""
    ids = [row.id for row in world.rows(sa.select(notifications.c.id))]
    with world.notify.database.read() as connection:
        found = [one for _, one in decisions.of(connection, "default", ids)]
    return {one.value["message"]: (one.kind, one.value["status"], one.value["reason"]) for one in found}


def answered(answers: Answers) -> dict[str, tuple[Any, ...]]:
    return {one["id"]: (one["channel"], one["status"], one["reason"]) for one in answers}


def without_status(found: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
    return {id_: (channel, status == "skipped", reason) for id_, (channel, status, reason) in found.items()}


def reasons(answers: Answers) -> dict[str, str | None]:
    return {one["channel"]: one["reason"] for one in answers}


def test_everybody_s_answer_names_the_messages_and_reasons_that_follow(world: World) -> None:
    asked: list[list[str] | None] = [None, [], ["email"], ["push", "in_app"]]

    answers: Answers = []
    for who in ("ann", "nowhere", "no-email", "no-push"):
        for channels in asked:
            answers += world.notify.send(who, "order_shipped", ORDER, channels)
    world.settle()

    assert len(answers) == 4 * 4 * 3
    assert without_status(answered(answers)) == without_status(decided(world))


def test_the_status_is_the_one_that_was_decided(world: World) -> None:
    answers = world.notify.send("ann", "order-shipped", ORDER)
    world.settle()

    assert answered(answers) == decided(world)


def test_a_channel_nobody_can_send_on_is_answered_as_it_is_decided(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.template("alarm/note.sms", "hello")
    monkeypatch.setattr(catalog, "providers", lambda settings: {})

    answers = world.notify.send("ann", "alarm", {})

    [sms] = [one for one in answers if one["channel"] == "sms"]
    assert (sms["status"], sms["reason"]) == ("failed", "no_integration")


def test_without_channels_a_person_s_choices_hold_and_with_them_they_do_not(world: World) -> None:
    chosen = world.notify.send("no-email", "order-shipped", ORDER)
    asked = world.notify.send("no-email", "order-shipped", ORDER, ["email"])
    world.settle()

    assert reasons(chosen) == {"in_app": None, "email": "opted_out_of_all", "push": None}
    elsewhere = "channel_not_asked_for"
    assert reasons(asked) == {"in_app": elsewhere, "email": None, "push": elsewhere}
    assert len(world.providers[Channel.EMAIL].to("no-email")) == 1


def test_the_workflow_s_own_word_holds_whatever_was_asked_for(world: World) -> None:
    answers = world.notify.send("ann", "quiet", {}, ["push", "email"])
    world.settle()

    assert reasons(answers) == {"push": "workflow_off", "email": None}
    assert answered(answers) == decided(world)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("ann", "order-shiped", ORDER), "order-shiped"),
        (("ann", "order-shipped", {}), "orderId"),
        (("ann", "order-shipped", ORDER, ["pigeon"]), "pigeon"),
        (("", "order-shipped", ORDER), "to"),
    ],
)
def test_a_send_that_cannot_be_writes_nothing(world: World, arguments: Any, named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        world.notify.send(*arguments)

    assert world.rows(sa.select(events)) == []
