"""Whom a release touches, on both databases: said before it is applied, and refused where they would fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from notify.engine import impact
from notify.engine.impact import Impact
from notify.store.database import Database
from notify.store.tables import versions
from tests.world import World, migrated, on_one_database

FLOW = """
@workflow("task", on="task/added", to=lambda event: event.data["who"]{options})
async def task(n: Notification[dict[str, Any]]) -> None:
{body}
"""
SLEEP = 'await n.sleep("pause", hours=1)'
COLLECT = 'await n.digest("burst", minutes=15)'


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        yield made


def write(world: World, *lines: str, options: str = "") -> None:
    body = "".join(f"    {line}\n" for line in lines)
    world.workflow(FLOW.format(body=body, options=options), "task/hello.email", "task/more.email")


def wait(world: World, *people: str) -> None:
    """These people come as far as there is nothing to wait for."""
    for person in people:
        world.emit("task/added", {"who": person})
    world.settle()


def told(world: World) -> list[str]:
    """What a release of the workflows as they are now says."""
    return released(world).lines()


def released(world: World) -> Impact:
    return impact.of_release(world.settings, world.engine.registry)


HELLO = 'await n.email("hello")'
CHANGED = {
    "nothing": ([SLEEP, HELLO], [SLEEP, HELLO], "Nothing changes for 2 people who wait."),
    "words": ([SLEEP, HELLO], ['"""Says more."""', SLEEP, HELLO], "Nothing changes for 2 people who wait."),
    "removed": (
        [SLEEP, HELLO],
        [HELLO],
        "task: 2 people wait in sleep 'pause'; this release has no such step: once it is over they go on without it",
    ),
    "renamed": (
        [SLEEP, HELLO],
        ['await n.sleep("rest", hours=1)', HELLO],
        "task: 2 people wait in sleep 'pause'; this release has no such step: once it is over they go on without it, "
        "and wait anew in sleep 'rest'",
    ),
    "a key that cannot be read": (
        [SLEEP, HELLO],
        ['await n.sleep(n.payload["key"], hours=1)', HELLO],
        "Nothing changes for 2 people who wait.",
    ),
    "another kind": (
        [SLEEP, HELLO],
        ['await n.digest("pause", hours=1)', HELLO],
        "task: step 'pause' was a sleep and is a digest now: 2 people who wait would fail with StepChanged; "
        "give it a new key",
    ),
    "another kind of what they did before": (
        ['await n.run("look", int)', SLEEP],
        ['await n.is_read(n.payload["about"], at="look")', SLEEP],
        "task: step 'look' was a run and is an is_read now: 2 people who wait would fail with StepChanged; "
        "give it a new key",
    ),
    "added before": (
        [SLEEP, HELLO],
        ['await n.email("more")', 'await n.sleep("new", days=1)', 'await n.run("look", int)', SLEEP, HELLO],
        "task: what is new before it lies in the past of 2 people who wait in sleep 'pause': "
        "email 'more' is skipped, sleep 'new' is passed, run 'look' is done now",
    ),
    "moved before": (
        [SLEEP, HELLO],
        [HELLO, SLEEP],
        "task: what is new before it lies in the past of 2 people who wait in sleep 'pause': email 'hello' is skipped",
    ),
    "moved after": (['await n.run("look", int)', SLEEP], [SLEEP, 'await n.run("look", int)'], None),
    "added after": (
        [SLEEP, HELLO],
        [SLEEP, 'await n.run("look", int)', HELLO, 'await n.email("more")'],
        "task: 2 people who wait in sleep 'pause' come to what is new after it: run 'look', email 'more'",
    ),
    "added in another branch": (
        ["if n.payload['who'] == 'ann' or n.payload['who'] == 'bob':", f"    {SLEEP}", "    return"],
        ["if n.payload['who'] in ('ann', 'bob'):", f"    {SLEEP}", "else:", "    await n.email('more')"],
        "task: 2 people who wait in sleep 'pause' may come to what is new after it: email 'more'",
    ),
    "added where not everybody comes": (
        [SLEEP, HELLO],
        [SLEEP, "if n.payload['who'] == 'ann':", "    await n.run('look', int)", HELLO, "await n.email('more')"],
        "task: 2 people who wait in sleep 'pause' come to what is new after it: email 'more', "
        "and may come to run 'look'",
    ),
    "added beside": (
        [SLEEP, HELLO],
        [f'await n.all(n.email("more"), {SLEEP.removeprefix("await ")})', HELLO],
        "task: 2 people who wait in sleep 'pause' come to what is new after it: email 'more'",
    ),
}


@on_one_database
@pytest.mark.parametrize(("before", "after", "said"), CHANGED.values(), ids=CHANGED)
def test_who_waits_in_a_step_is_told_what_becomes_of_them(
    world: World, before: list[str], after: list[str], said: str | None
) -> None:
    write(world, *before)
    wait(world, "ann", "bob")
    write(world, *after)

    assert told(world) == [said or "Nothing changes for 2 people who wait."]


WINDOWS = {
    "the same": (COLLECT, COLLECT, None),
    "longer": (
        COLLECT,
        'await n.digest("burst", minutes=90)',
        "task: digest 'burst' collects 1 h 30 min now; 2 open windows keep what they opened with: 15 min",
    ),
    "of another mode": (
        'await n.digest("burst", debounce="15m", max_wait="2h", capacity=9)',
        'await n.digest("burst", at="09:00")',
        "task: digest 'burst' collects until every day at 09:00 now; "
        "2 open windows keep what they opened with: 15 min of quiet, 2 h at most or 9 events",
    ),
    "no calendar any more": (
        'await n.digest("burst", at="09:00")',
        COLLECT,
        "task: digest 'burst' collects 15 min now; 2 open windows keep what they opened with: "
        "until every day at 09:00; only task/cron closes them, so leave it deployed until then",
    ),
    "not to be read": (
        COLLECT,
        'await n.digest("burst", minutes=n.payload["minutes"])',
        "task: 2 open windows of digest 'burst' keep what they opened with: 15 min",
    ),
}


@pytest.mark.parametrize(("before", "after", "said"), WINDOWS.values(), ids=WINDOWS)
def test_open_windows_keep_what_they_opened_with(world: World, before: str, after: str, said: str | None) -> None:
    write(world, before)
    wait(world, "ann", "bob", "ann")
    write(world, after)

    assert told(world) == [said or "Nothing changes for 3 people who wait."]


def test_what_its_length_depends_on_is_no_news_while_the_code_is_the_same(world: World) -> None:
    line = 'await n.digest("burst", minutes=n.payload.get("minutes", 15))'
    write(world, line)
    wait(world, "ann")

    assert told(world) == ["Nothing changes for 1 person who waits."]


def test_a_workflow_that_is_not_there_any_more_keeps_whoever_waits_in_it(world: World) -> None:
    write(world, SLEEP)
    wait(world, "ann")
    (world.flows / "flow.py").unlink()
    world.workflow("", file="another")

    assert told(world) == [
        "task: 1 person waits in a workflow that is no longer there: they stay until it comes back, "
        "or until `notify cancel` ends what they wait for"
    ]


def test_texts_and_named_versions_stay_as_they_were_for_whoever_waits(world: World) -> None:
    write(world, SLEEP, HELLO, options=', version="1"')
    wait(world, "ann", "bob")
    write(world, SLEEP, HELLO, options=', version="2"')
    wait(world, "cleo")
    world.template("task/hello.email", "{% block subject %}new{% endblock %}{% block body %}new{% endblock %}")

    assert told(world) == [
        "task: templates changed: 3 waiting people keep the texts they started with",
        "task: 2 waiting people go on as version '1'; it is '2' now",
    ]


def test_those_who_began_before_anything_was_known_of_their_version_are_not_guessed_about(world: World) -> None:
    write(world, SLEEP)
    wait(world, "ann")
    with world.engine.database.write() as connection:
        connection.execute(sa.update(versions).values(steps=None, named=None))
    write(world, HELLO, SLEEP)

    assert told(world) == ["Nothing changes for 1 person who waits."]


def test_it_asks_a_few_statements_however_many_wait(world: World) -> None:
    write(world, SLEEP, COLLECT)
    wait(world, "ann")
    few = _statements(world.engine.database, lambda: _touched(world))
    for number in range(30):
        write(world, SLEEP, COLLECT, f'await n.run("r{number}", int)')
        wait(world, f"p{number}")

    assert _statements(world.engine.database, lambda: _touched(world)) == few <= 5  # SQLite counts its BEGIN
    assert _touched(world).waiting == 31


def _touched(world: World) -> Impact:
    engine = world.engine
    with engine.database.read() as connection:
        return impact.touched(connection, engine.environment, engine.registry, engine.contents)


def _statements(database: Database, work: Callable[[], Any]) -> int:
    """How many statements it takes."""
    seen: list[str] = []

    def note(*arguments: Any) -> None:
        seen.append(arguments[2])

    for engine in database.engines:
        event.listen(engine, "before_cursor_execute", note)
    work()
    for engine in database.engines:
        event.remove(engine, "before_cursor_execute", note)
    return len(seen)
