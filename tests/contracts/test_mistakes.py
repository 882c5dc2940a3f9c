"""An author's mistake in one workflow: it is said where it was made, and everybody else's workflow goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.world import World, migrated, on_one_database

OTHER = """
@workflow("other", on="it/happened", to="ann")
async def other(n: Notification[dict[str, Any]]) -> None:
    await n.in_app("hello")
"""
MISTAKEN = """
@workflow("mistaken", on="it/happened", to="ann", retries=0)
async def mistaken(n: Notification[dict[str, Any]]) -> None:
    {line}
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        made.people("ann")
        yield made


def happen(world: World, line: str) -> str | None:
    """What the mistake comes to; whoever listens to the same event is told."""
    world.workflow(OTHER, "other/hello.in_app", file="other")
    world.workflow(MISTAKEN.format(line=line), "mistaken/m.in_app")
    world.emit("it/happened")
    world.settle()
    assert world.statuses("other") == [("completed", None)]
    [row] = world.notifications("mistaken")
    return (row.error or {}).get("message") if row.status == "failed" else None


@on_one_database
@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ('capacity="50"', "digest('d').capacity: '50' is no number of events. Write a whole number of at least 1"),
        ("capacity=2.5", "digest('d').capacity: 2.5 is no number of events"),
        ("capacity=True", "digest('d').capacity: True is no number of events"),
        ("unless='gone'", "digest('d').unless: 'gone' is no function"),
    ],
)
def test_a_digest_of_wrong_words_stops_nobody_else(world: World, how: str, problem: str) -> None:
    assert problem in (happen(world, f"await n.digest('d', minutes=5, {how})") or "")


@on_one_database
@pytest.mark.parametrize("threshold", ['"3"', "2.5", "True"])
def test_a_throttle_lets_a_whole_number_pass(world: World, threshold: str) -> None:
    problem = happen(world, f"await n.throttle('t', hours=1, threshold={threshold})")

    said = f"{eval(threshold)!r} is no number of notifications. Write a whole number of at least 1"
    assert problem == f"throttle('t').threshold: {said}"


@on_one_database
def test_a_source_that_surprises_the_reader_stops_nobody(world: World) -> None:
    line = "await n.in_app(ODD.name)"
    world.workflow(OTHER, "other/hello.in_app", file="other")
    odd = """
    class Meta(type):
        def __getattr__(cls, name: str) -> Any:
            raise ValueError(name)

    class ODD(metaclass=Meta): ...
    """
    world.workflow(odd + MISTAKEN.format(line=line).replace("\n", "\n    "), "mistaken/m.in_app")
    world.emit("it/happened")
    world.settle()

    assert world.statuses("other") == [("completed", None)]
    assert not world.engine.registry.workflow("mistaken").shape.whole
