"""What is over a budget may be told in a digest: by the reference workflow, beyond the budget, never in a circle."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from notify.engine import batch, match
from notify.engine.work import Quietly, Tally
from notify.model import Channel
from notify.reports.why import why
from notify.store.audit import audit
from notify.store.tables import events
from notify.workflow import Workflow
from tests.contracts.limits_world import counted, found, limited, news, schedule, tell
from tests.world import SHIPPED, World, migrated


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        made.people("ann")
        yield made


@pytest.fixture
def digesting(world: World) -> World:
    """A world with the reference workflow that tells of what was too much."""
    for name in ("overflow_digest.py", "templates/overflow-digest", "templates/_layout.email.j2"):
        _copy(SHIPPED / name, world.flows / name)
    _copy(SHIPPED / "templates" / "_parts.email.j2", world.flows / "templates" / "_parts.email.j2")
    news(world, "good-news")
    limited(world, "email: 2/day", budget_overflow="digest")
    return world


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        target.mkdir()
        for file in source.iterdir():
            _copy(file, target / file.name)
    else:
        target.write_text(source.read_text())


def test_what_is_over_the_budget_is_told_in_a_digest_beyond_it(digesting: World) -> None:
    tell(digesting, 5, "good-news")

    assert counted(digesting) == {("sent", None): 2, ("suppressed", "over_budget_digested"): 3}
    assert digesting.module("good_news").calls.count(("suppressed", "over_budget_digested", None)) == 3
    said = digesting.rows(sa.select(events.c.subject, events.c.data).where(events.c.name == "notify/budget.exceeded"))
    assert {row.subject for row in said} == {"ann"}
    assert {row.data["message"] for row in said} == {
        row.id for row in digesting.messages() if row.status == "suppressed"
    }
    assert said[0].data | {"message": ""} == {
        "subscriber": "ann",
        "channel": "email",
        "workflow": "good-news",
        "message": "",
        "subject": "good-news",
    }

    digesting.advance(hours=4)
    assert digesting.told()["overflow-digest", "sent"] == 1
    assert digesting.told()["overflow-digest", "delivered"] == 1
    last = digesting.providers[Channel.EMAIL].accepted[-1].content
    assert last.subject == "3 messages you did not get one by one"
    assert last.body.count(">good-news <") == 3


def test_a_replay_answers_that_it_was_digested(digesting: World) -> None:
    news(digesting, "good-news", rest='await n.sleep("pause", hours=1)')
    tell(digesting, 3, "good-news")
    digesting.restart()
    digesting.advance(hours=1)

    calls = digesting.module("good_news").calls
    assert len(calls) == 6
    assert sorted(calls[:3], key=str) == sorted(calls[3:], key=str)


@pytest.mark.parametrize("others", ["", "statistics"], ids=["nobody", "only statistics"])
def test_where_no_overflow_digest_listens_it_is_deferred(world: World, others: str) -> None:
    news(world)
    if others:
        news(world, others, ', on="notify/budget.exceeded", to="admin"')
    limited(world, "email: 1/day", budget_overflow="digest")
    tell(world, 2)

    assert world.told() == {("news", "sent"): 1, ("news", "held"): 1}
    world.advance(days=1)
    assert world.told() == {("news", "sent"): 2}


def _no_digest(world: World, *channels: str, workflow: str | None = "overflow-digest") -> None:
    for channel in channels:
        world.notify.preferences.set("ann", workflow, channel, False)


def test_whom_no_digest_would_reach_gets_later_what_is_too_much(digesting: World) -> None:
    _no_digest(digesting, "email", "in_app")
    tell(digesting, 3, "good-news")

    assert counted(digesting) == {("sent", None): 2, ("held", "over_budget"): 1}
    digesting.advance(days=1)
    assert digesting.told() == {("good-news", "sent"): 3}


def test_who_has_neither_an_address_nor_an_inbox_for_the_digest_gets_it_later(digesting: World) -> None:
    news(digesting, "bad-news", rest='await n.push("hi")')
    digesting.template("bad-news/hi.push", "{% block subject %}bad{% endblock %}{% block body %}news{% endblock %}")
    digesting.people("ann", email=None)
    _no_digest(digesting, "in_app", workflow=None)
    limited(digesting, "push: 1/day", budget_overflow="digest")
    tell(digesting, 2, "bad-news")

    assert digesting.told() == {("bad-news", "skipped"): 2, ("bad-news", "sent"): 1, ("bad-news", "held"): 1}


def test_one_channel_of_the_digest_is_enough(digesting: World) -> None:
    _no_digest(digesting, "email")
    tell(digesting, 3, "good-news")
    digesting.advance(hours=4)

    assert counted(digesting)["suppressed", "over_budget_digested"] == 1
    assert digesting.notify.inbox("ann").count() == 1


def test_what_tells_of_an_overflow_causes_no_other(world: World) -> None:
    news(world)
    news(world, "overflow-digest", ', on="notify/budget.exceeded", to="ann"')
    limited(world, "email: 1/day", budget_overflow="digest")
    tell(world, 2)

    assert world.told() == {("news", "sent"): 1, ("news", "suppressed"): 1, ("overflow-digest", "held"): 1}


def test_what_was_held_for_the_night_may_be_digested_in_the_morning(digesting: World) -> None:
    schedule(digesting, {"mon-sun": "13:00-20:00"})
    tell(digesting, 5, "good-news")
    assert found(digesting) == [("held", "quiet_hours")] * 5

    digesting.advance(hours=1)
    assert counted(digesting) == {("sent", None): 2, ("suppressed", "over_budget_digested"): 3}

    digesting.advance(hours=4)
    assert "3 messages" in str(digesting.providers[Channel.EMAIL].accepted[-1].content.subject)


def _told_four(world: World) -> list[str]:
    transactions = [world.trigger("good-news", "ann").transaction_id for _ in range(4)]
    world.settle()
    return transactions


def test_what_was_cancelled_is_told_in_no_digest(digesting: World) -> None:
    cancelled = [str(digesting.notify.cancel(one, "no news")) for one in _told_four(digesting)]
    digesting.advance(hours=4)

    assert sorted(cancelled) == ["0 cancelled"] * 2 + ["1 cancelled: 1 to be sent later"] * 2
    assert counted(digesting) == {("sent", None): 2, ("cancelled", "no news"): 2}
    assert digesting.statuses("overflow-digest") == [("cancelled", "no news")] * 2
    assert digesting.notify.inbox("ann").count(unread=False) == 0
    with digesting.notify.database.read() as connection:
        assert audit(connection, "default", {}, now=digesting.clock.at).clean


def test_the_digest_tells_of_what_was_not_cancelled(digesting: World) -> None:
    _told_four(digesting)
    [first, _] = [row.transaction_id for row in digesting.messages() if row.status == "suppressed"]
    digesting.notify.cancel(first)
    digesting.advance(hours=4)

    assert [item.subject for item in digesting.notify.inbox("ann").list()] == ["1 message you did not get one by one"]


def test_what_is_cancelled_before_its_event_was_matched_is_told_in_no_digest(digesting: World) -> None:
    _unmatched(digesting)
    transactions = {row.transaction_id for row in digesting.messages() if row.status == "suppressed"}
    assert sum(digesting.notify.cancel(one) for one in transactions) == 2
    digesting.advance(hours=4)

    assert counted(digesting) == {("sent", None): 2, ("cancelled", "cancelled"): 2}
    assert digesting.notifications("overflow-digest") == []


def _unmatched(world: World) -> None:
    """Two messages are over the budget, and what says so lies in the store."""
    for _ in range(4):
        world.trigger("good-news", "ann")
    work = world.engine.registry.workflow("good-news")
    asyncio.run(_decided(world, work))


async def _decided(world: World, workflow: Workflow) -> None:
    await match.match_page(world.engine)
    await batch.work(world.engine, workflow, Quietly(), Tally(), batch.Scope())


def test_what_a_digest_has_told_is_not_cancelled_any_more(digesting: World) -> None:
    transactions = _told_four(digesting)
    digesting.advance(hours=4)

    assert [int(digesting.notify.cancel(one)) for one in transactions] == [0] * 4
    assert counted(digesting)["suppressed", "over_budget_digested"] == 2


def test_why_names_the_budget(digesting: World) -> None:
    tell(digesting, 3, "good-news")

    [over] = [row for row in digesting.messages() if row.status == "suppressed"]
    answer = why(over.id, database=digesting.notify.database, environment="default")
    [because] = [link.because for link in answer.chain if link.what.endswith("decided")]
    assert because.endswith(
        "hours ✓ budget ✗, the person had got as many messages as the budget allows, so a digest tells of it "
        "(over_budget_digested)"
    )
