"""Mistakes that a workflow's source shows are refused when its file is read, with their line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.world import HEAD, World, migrated

MISTAKEN = """
DAYS = 0

@workflow("mistaken", parameters={{"days": 0}})
async def mistaken(n: Notification[dict[str, Any]]) -> None:
    await n.in_app("hello")
    {line}
"""


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, "sqlite")) as made:
        yield made


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('n.sleep("a", days=1)', "n.sleep('a'…) does nothing by itself. Write `await` before it"),
        ("n.all(n.email('a'))", "n.all(n.email('a')…) does nothing by itself. Write `await` before it"),
        ('await n.sleep("a", hour=1)', "sleep('a'): {'hour': 1} is no length of time"),
        ('await n.sleep("a", days=-1)', "sleep('a'): {'days': -1} is no wait"),
        ('await n.sleep("a", "3d")', "n.sleep('a'…): too many positional arguments"),
        ('await n.sleep(f"a-{n.id}", hour=1)', "sleep('…'): {'hour': 1} is no length of time"),
        ("await n.sleep(7, hours=1)", "n.sleep(7…): 7 is no key of a step"),
        ('await n.sleep_until("a", at="25:00")', "sleep_until('a').at"),
        ('await n.sleep_until("a", at="09:00", timezone="Europe/Roma")', "sleep_until('a').timezone"),
        ('await n.delay("a", "soon")', "delay('a'): 'soon' is no length of time"),
        ('await n.delay("a", None)', "delay('a'): None is no length of time"),
        (
            'await n.wait_for_event("a", "it/came", timeout="7d", days=1)',
            "wait_for_event('a'): timeout does not go with days",
        ),
        ('await n.digest("a", minutes=5, timezone="Europe/Rome")', "digest('a'): a length does not go with timezone"),
        ('await n.invoke("other", to=["ann", "bob"])', "invoke('other').to: 2 people, but one answer"),
        ('await n.throttle("a")', "throttle('a'): has no window"),
        ('await n.wait_for_event("a", "it/came", match="event.data.x ==", days=1)', "wait_for_event('a').match"),
        ('await n.wait_for_event("a", "it/came", timeout="soon")', "wait_for_event('a').timeout"),
        ('await n.digest("a", minutes=15, capacity="50", unless=print)', "digest('a').capacity: '50'"),
        ('await n.is_read("hello")', "n.is_read('hello'…): missing a required argument: 'at'"),
        ('await n.is_read("hallo", at="x")', "is_read('hallo'): the workflow has no in-app message of this step"),
        ('await n.all(n.email("b"), n.is_seen("b", at="x"))', "is_seen('b'): the workflow has no in-app message"),
    ],
)
def test_a_certain_mistake_is_told_with_its_line(world: World, line: str, problem: str) -> None:
    assert f"flow.py:{HEAD + 7}: {problem}" in world.mistaken(MISTAKEN.format(line=line))


def test_an_instant_beside_a_calendar_is_refused_when_it_is_reached(world: World) -> None:
    world.people("ann")
    world.workflow(MISTAKEN.format(line='await n.sleep_until("a", n.event.ts, at="09:00", timezone="Europe/Rome")'))
    world.trigger("mistaken", "ann")
    world.settle()

    [row] = world.notifications()
    assert row.error["message"] == "sleep_until('a'): an instant does not go with at, timezone. Use one of them"


@pytest.mark.parametrize(
    "line",
    [
        "await n.all(*[n.email('a')])",
        "mail = n.email('a'); await n.all(mail)",
        "await n.sleep('a', days=DAYS)",
        "await n.sleep('a', days=n.parameters['days'])",
        "await n.sleep('a', **n.payload)",
        "await n.wait_for_event('a', 'it/came', match=n.payload['match'], days=1)",
        "m = n; n = n.payload; n.sleep('a', hour=1)",
        "await n.is_read(n.payload['step'], at='x')",
        "await n.delay('a', n.payload['until'])",
        "await n.delay('a', '2030-01-01T09:00:00Z')",
        "await n.delay('a', {'amount': 3, 'unit': 'days'})",
    ],
)
def test_what_only_running_tells_is_not_refused(world: World, line: str) -> None:
    world.workflow(MISTAKEN.format(line=line))

    assert "mistaken" in world.engine.registry.workflows


def test_a_mistake_in_a_function_of_another_file_is_told_where_it_is_and_whom_it_concerns(world: World) -> None:
    world.workflow('async def nap(n: Any) -> None:\n    await n.sleep("a", hour=1)\n', file="_shared")

    error = world.mistaken("from _shared import nap\n" + MISTAKEN.format(line="await nap(n)"))

    assert f"flow.py:{HEAD + 5}: _shared.py:{HEAD + 2}: sleep('a'): {{'hour': 1}} is no length" in error
