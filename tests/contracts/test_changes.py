"""Workflows that change while people wait in them, on both databases: every kind of step, in every kind of wait."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.changes_world import (
    DONE,
    KINDS,
    PAST,
    WAITING,
    WAITS,
    begin,
    ended,
    greeted,
    seen,
    stored,
    write,
    write_all,
)
from tests.world import World, migrated, on_one_database

COMPLETED = ("completed", None)


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        made.people("ann", "bob")
        yield made


@on_one_database
@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_step_added_before_a_wait_lies_in_the_past_of_who_is_in_it(world: World, wait: str) -> None:
    write_all(world, wait)
    begin(world)
    write_all(world, "STEP", wait)
    world.advance(hours=10)

    assert seen(world) == {kind: [PAST[kind]] for kind in KINDS}
    assert ended(world) == dict.fromkeys(KINDS, COMPLETED)
    assert greeted(world) == set(KINDS)
    assert stored(world) == ["it/emitted", "other"]


@on_one_database
@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_what_lies_in_the_past_is_remembered_as_it_was(world: World, wait: str) -> None:
    """A second wait, and the code is run once more."""
    again = 'await n.sleep("again", hours=1)'
    write_all(world, wait, again)
    begin(world)
    write_all(world, "STEP", wait, again)
    world.advance(hours=10)
    world.advance(hours=10)

    assert seen(world) == {kind: [PAST[kind]] * 2 for kind in KINDS}
    assert greeted(world) == set(KINDS)
    assert stored(world) == ["it/emitted", "other"]


@on_one_database
@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_step_added_after_a_wait_is_done_like_any_other(world: World, wait: str) -> None:
    write_all(world, wait)
    begin(world)
    write_all(world, wait, "STEP")
    world.advance(hours=10)

    assert seen(world) == {kind: [] if kind in WAITING else [DONE[kind]] for kind in KINDS}
    assert {kind for kind, status in ended(world).items() if status == ("waiting", None)} == WAITING
    world.advance(hours=5)
    assert seen(world) == {kind: [DONE[kind]] for kind in KINDS}
    assert ended(world) == dict.fromkeys(KINDS, COMPLETED)


@on_one_database
@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_step_that_is_removed_is_ignored(world: World, wait: str) -> None:
    write_all(world, "STEP", wait)
    begin(world, hours=5)
    write_all(world, wait)
    world.advance(hours=10)

    assert seen(world) == {kind: [] for kind in KINDS}
    assert ended(world) == dict.fromkeys(KINDS, COMPLETED)
    assert greeted(world) == set(KINDS)


@on_one_database
@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_step_that_moved_answers_from_memory(world: World, wait: str) -> None:
    write_all(world, "STEP", wait)
    begin(world, hours=5)
    write_all(world, wait, "STEP")
    world.advance(hours=10)

    assert seen(world) == {kind: [DONE[kind]] for kind in KINDS}
    assert world.module().runs == []
    assert ended(world) == dict.fromkeys(KINDS, COMPLETED)
    assert stored(world) == ["it/emitted", "other"]


@on_one_database
@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_key_that_is_of_another_kind_fails_and_says_what_to_do(world: World, wait: str) -> None:
    write_all(world, "STEP", wait)
    begin(world, hours=5)
    others = dict.fromkeys(KINDS, 'await n.run("x", made)')
    changed = others | {"run": 'await n.sleep("x", hours=1)', "email": 'await n.run("x.email", made)'}
    write_all(world, "STEP", wait, kinds=changed)
    world.advance(hours=10)

    assert ended(world) == dict.fromkeys(KINDS, ("failed", "raised"))
    errors = {row.workflow: row.error for row in world.notifications() if row.workflow in KINDS}
    assert {error["name"] for error in errors.values()} == {"StepChanged"}
    assert errors["delay"]["message"] == (
        "Step 'x' of 'delay' was a delay when this notification started and is a run today. "
        "Give the new step a new key."
    )
    assert greeted(world) == set()


# --- the wait itself ----------------------------------------------------------------------------


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_who_was_in_a_wait_that_is_removed_goes_on_as_if_it_were_over(world: World, wait: str) -> None:
    write_all(world, wait)
    begin(world)
    write_all(world, "STEP")
    world.advance(hours=10)

    assert seen(world) == {kind: [] if kind in WAITING else [DONE[kind]] for kind in KINDS}
    world.advance(hours=5)
    assert seen(world) == {kind: [DONE[kind]] for kind in KINDS}
    assert greeted(world) == set(KINDS)


@on_one_database
@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_wait_of_another_kind_under_its_key_fails(world: World, wait: str) -> None:
    write(world, "run", wait)
    begin(world)
    other = WAITS["sleep" if "n.digest" in wait else "digest"]
    write(world, "run", other)
    world.advance(hours=10)

    [row] = world.notifications()
    assert (row.status, row.error["name"]) == ("failed", "StepChanged")


def test_a_step_that_is_tried_again_when_its_kind_changes_fails_too(world: World) -> None:
    source = """
def broken() -> None:
    raise OSError("not now")

@workflow("tried", on="it/happened", to="ann")
async def tried(n: Notification[dict[str, Any]]) -> None:
    await n.{step}
"""
    world.workflow(source.format(step='run("x", broken)'))
    begin(world)
    world.workflow(source.format(step='sleep("x", hours=1)'))
    world.advance(seconds=1)

    [row] = world.notifications()
    assert (row.status, row.error["name"]) == ("failed", "StepChanged")


def test_a_delay_in_the_past_passes_whatever_it_was_asked(world: World) -> None:
    write(world, "delay", WAITS["sleep"])
    begin(world)
    write(world, "delay", 'see("delay", await n.delay("x", "2020-01-01T00:00:00Z"))', WAITS["sleep"])
    world.advance(hours=10)

    assert world.module().calls == [("delay", True)]
    assert world.told() == {("delay", "sent"): 1}


def test_what_was_added_beside_a_wait_is_done_and_not_in_the_past(world: World) -> None:
    write(world, "email", WAITS["sleep"])
    begin(world)
    write(world, "email", 'await n.all(n.email("x"), n.sleep("wait", hours=10))')
    world.advance(hours=10)

    assert {(row.step, row.status) for row in world.messages()} == {("x.email", "sent"), ("hello.email", "sent")}


def test_a_wait_counts_as_the_last_of_what_came_at_one_instant(world: World) -> None:
    """Its key sorts before the others, and the clock did not move between them."""
    write(world, "email", 'await n.run("z", made)', 'await n.sleep("a", hours=10)')
    begin(world)
    write(world, "email", 'await n.run("z", made)', 'see("email", await n.email("x"))', 'await n.sleep("a", hours=10)')
    world.advance(hours=10)

    assert world.module().calls == [("email", "added_after_start")]


# --- versions -----------------------------------------------------------------------------------

VERSIONED = """
@workflow("versioned", on="it/happened", to="ann", version={version!r})
async def versioned(n: Notification[dict[str, Any]]) -> None:
    await n.sleep("pause", hours=1)
    calls.append((n.version, n.payload["at"]))
    if n.version != "2":
        await n.email("hello")
"""


@pytest.mark.parametrize("named", ["1", ""])
def test_whoever_began_before_keeps_the_version_they_began_with(world: World, named: str) -> None:
    world.workflow(VERSIONED.format(version=named), "versioned/hello.email")
    world.emit("it/happened", {"at": 0})
    world.settle()
    world.workflow(VERSIONED.format(version="2"))
    world.emit("it/happened", {"at": 1})
    world.advance(minutes=10)
    world.restart()
    world.advance(hours=1)

    assert sorted(world.module().calls) == [(named, 0), ("2", 1)]
    assert world.told() == {("versioned", "sent"): 1}


@pytest.mark.parametrize("version", ["", "2026-01"])
def test_a_broadcast_knows_its_version_too_and_one_that_is_not_named_is_empty(world: World, version: str) -> None:
    world.workflow(VERSIONED.format(version=version))
    world.notify.broadcast("versioned", payload={"at": 0})
    world.settle()
    world.workflow(VERSIONED.format(version="later"))
    world.advance(hours=1)

    assert world.module().calls == [(version, 0)] * 2
