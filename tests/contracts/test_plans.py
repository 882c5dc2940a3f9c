"""On a fresh PostgreSQL, which knows nothing of its tables yet, no statement compares everybody with everybody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import event

from notify import clock
from notify.model import new_id
from notify.store import messages
from tests.contracts.limits_world import limited
from tests.world import World, migrated

PEOPLE = 400
WORKFLOW = """
@workflow("news", on="news", to={to!r}, retries=0, {option})
async def news(n: Notification[dict[str, Any]]) -> None:
    await n.in_app("hello")
    await n.email("hello")
    await n.sleep("pause", hours=1)
    await n.in_app("later")
"""
#: What a statement may look at in vain for each person: other indexes' leftovers, never all the others.
IN_VAIN = 10


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, "postgresql")) as made:
        made.people(*(f"p{place}" for place in range(PEOPLE)))
        yield made


@pytest.mark.parametrize("option", ["", "concurrency=Concurrency(limit=40, key='who')", "concurrency=Concurrency(40)"])
def test_what_a_statement_looks_at_in_vain_grows_with_the_people_not_with_their_square(
    world: World, option: str
) -> None:
    source = WORKFLOW.format(to=[f"p{place}" for place in range(PEOPLE)], option=option)
    world.workflow(source, "news/hello.in_app", "news/hello.email", "news/later.in_app")
    plans = _explained(world)

    world.emit("news", id="E1")
    world.settle()
    world.clock.advance(timedelta(hours=2))
    world.settle()

    assert len(world.notifications()) == PEOPLE
    assert {row.status for row in world.notifications()} == {"completed"}
    assert len([plan for plan in plans if plan["Query Text"].lstrip().startswith("UPDATE notifications")]) > 1
    # Who may still join a window is found by looking at everybody who is ready: not where no window is due.
    assert [plan["Query Text"] for plan in plans if "min(notifications.ts)" in plan["Query Text"]] == []
    assert _squares(plans) == []


def test_neither_does_what_hours_and_budgets_look_at(world: World) -> None:
    source = WORKFLOW.format(to=[f"p{place}" for place in range(PEOPLE)], option="")
    world.workflow(source, "news/hello.in_app", "news/hello.email", "news/later.in_app")
    limited(world, "email: 1/day, all: 5/day", schedule="mon-sun 08:00-20:00")
    plans = _explained(world)

    for id_ in ("E1", "E2", "E3"):
        world.emit("news", id=id_)
    world.settle()
    world.advance(hours=10)
    world.emit("news", id="E4")
    world.settle()
    for hours in (14, 24, 24):
        world.advance(hours=hours)

    assert world.told() == {("news", "delivered"): 8 * PEOPLE, ("news", "sent"): 4 * PEOPLE}
    counting = [plan for plan in plans if "UNION ALL" in plan["Query Text"] and "released_at" in plan["Query Text"]]
    assert [plan for plan in counting if "ix_messages_released" in json.dumps(plan["Plan"])] != []
    assert _squares(plans) == []


def _squares(plans: list[dict[str, Any]]) -> list[tuple[str, float]]:
    looked_at = [(plan["Query Text"], _in_vain(plan["Plan"])) for plan in plans]
    return [(text, rows) for text, rows in looked_at if rows > IN_VAIN * PEOPLE]


def test_a_claim_is_compiled_once(world: World) -> None:
    compiled: dict[Any, Any] = {}
    [engine] = {*world.engine.database.engines[1:]}
    with engine.execution_options(compiled_cache=compiled).begin() as connection:
        for _ in range(2):
            messages.claim(connection, "default", token=new_id(), lease=timedelta(seconds=1), now=clock.now(), limit=5)

    assert len(compiled) == 1


def _explained(world: World) -> list[dict[str, Any]]:
    """Every plan from here on, as it came out."""
    plans: list[dict[str, Any]] = []

    def note(diagnostic: psycopg.errors.Diagnostic) -> None:
        _, found, plan = (diagnostic.message_primary or "").partition("plan:\n")
        if found:
            plans.append(json.loads(plan))

    def explain(connection: psycopg.Connection, *_: object) -> None:
        connection.add_notice_handler(note)
        for words in (
            "LOAD 'auto_explain'",
            "SET auto_explain.log_min_duration = 0",
            "SET auto_explain.log_analyze = on",
            "SET auto_explain.log_format = json",
            "SET auto_explain.log_level = notice",
        ):
            connection.execute(words.encode())
        connection.commit()

    for engine in world.engine.database.engines:
        engine.dispose()
        event.listen(engine, "connect", explain)
    return plans


def _in_vain(node: dict[str, Any]) -> float:
    """Rows that a plan's worst part looked at and threw away."""
    own = sum(
        node.get(f"Rows Removed by {kind}", 0) * node.get("Actual Loops", 1) for kind in ("Filter", "Join Filter")
    )
    return max([own, *(_in_vain(child) for child in node.get("Plans", []))])
