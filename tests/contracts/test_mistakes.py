"""An author's mistake in one workflow: it is said where it was made, and everybody else's workflow goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.world import HEAD, World, migrated, on_one_database

OTHER = """
@workflow("other", on="it/happened", to="ann")
async def other(n: Notification[dict[str, Any]]) -> None:
    await n.in_app("hello")
"""
MISTAKEN = """
VALUE = {value}

@workflow("mistaken", on="it/happened", to="ann", retries=0)
async def mistaken(n: Notification[dict[str, Any]]) -> None:
    {line}
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        made.people("ann")
        yield made


def happen(world: World, line: str, value: object = None) -> str | None:
    """What the mistake comes to; whoever listens to the same event is told."""
    world.workflow(OTHER, "other/hello.in_app", file="other")
    world.workflow(MISTAKEN.format(line=line, value=repr(value)), "mistaken/m.in_app")
    world.emit("it/happened")
    world.settle()
    assert world.statuses("other") == [("completed", None)]
    [row] = world.notifications("mistaken")
    return (row.error or {}).get("message") if row.status == "failed" else None


@on_one_database
@pytest.mark.parametrize(
    ("word", "value", "problem"),
    [
        ("capacity", "50", "digest('d').capacity: '50' is no number of events. Write a whole number of at least 1"),
        ("capacity", 2.5, "digest('d').capacity: 2.5 is no number of events"),
        ("capacity", True, "digest('d').capacity: True is no number of events"),
        ("unless", "gone", "digest('d').unless: 'gone' is no function"),
    ],
)
def test_a_digest_of_wrong_words_stops_nobody_else(world: World, word: str, value: object, problem: str) -> None:
    assert problem in (happen(world, f"await n.digest('d', minutes=5, {word}=VALUE)", value) or "")


@on_one_database
@pytest.mark.parametrize("threshold", ["3", 2.5, True])
def test_a_throttle_lets_a_whole_number_pass(world: World, threshold: object) -> None:
    problem = happen(world, "await n.throttle('t', hours=1, threshold=VALUE)", threshold)

    said = f"{threshold!r} is no number of notifications. Write a whole number of at least 1"
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
    world.workflow(odd + MISTAKEN.format(line=line, value=None).replace("\n", "\n    "), "mistaken/m.in_app")
    world.emit("it/happened")
    world.settle()

    assert world.statuses("other") == [("completed", None)]
    assert not world.engine.registry.workflow("mistaken").shape.whole


@on_one_database
@pytest.mark.parametrize(
    ("option", "remedy"),
    [
        ("version=2", 'Write a text, such as version="2"'),
        ('retries="3"', "Write a whole number, 0 for none"),
        ("retries=-1", "Write a whole number, 0 for none"),
        ("retries=True", "Write a whole number, 0 for none"),
        ('cancel_on="it/ended"', 'Write CancelOn("order/cancelled", key="orderId"), or several of them'),
        ('cancel_on=["it/ended"]', 'Write CancelOn("order/cancelled", key="orderId"), or several of them'),
        ('priority="urgent"', "Write low or normal or high or critical"),
        ("concurrency=5", 'Write Concurrency(5) or Concurrency(5, key="account"), with a limit of at least 1'),
        ('concurrency=Concurrency("5")', "with a limit of at least 1"),
        ("concurrency=Concurrency(5, key=7)", "with a limit of at least 1"),
        ("on=7", 'Write the name of an event, or several: on=["a", "b"]'),
        ("tags='billing'", 'Write a list of texts, such as tags=["billing"]'),
        ("critical='no'", "Write True or False"),
        ('preferences={"mail": True}', "Write True or False for each of in_app, email, sms, push"),
        ('preferences={"email": "no"}', "Write True or False for each of"),
        ('delivery="twice"', "Write at_least_once or at_most_once"),
        ("parameters=[3]", 'Write their values under their names: parameters={"days": 3}'),
        ("name=7", "Write a text"),
    ],
)
def test_an_option_that_cannot_be_is_refused_with_its_file(world: World, option: str, remedy: str) -> None:
    world.workflow(OTHER, "other/hello.in_app", file="other")
    error = world.mistaken(f'@workflow("mistaken", {option})\nasync def mistaken(n: Any) -> None: ...\n')

    assert f"flow.py:{HEAD + 1}: workflow 'mistaken': {option.partition('=')[0]}=" in error
    assert remedy in error


@on_one_database
def test_a_file_that_is_refused_leaves_the_others(world: World) -> None:
    world.workflow(OTHER, "other/hello.in_app", file="other")
    world.mistaken('@workflow("mistaken", on="it/happened", version=2)\nasync def mistaken(n: Any) -> None: ...\n')
    world.emit("it/happened")
    world.settle()

    assert world.statuses() == [("completed", None)]


@pytest.mark.parametrize(
    "line",
    [
        "await n.sleep({key}, hours=1)",
        "await n.run({key}, print)",
        "await n.all(n.in_app('m'), n.wait_for_event({key}, 'it/came', days=1))",
        "await n.digest({key}, hours=1)",
        "await n.throttle({key}, hours=1)",
        "await n.is_online(at={key})",
        "await n.in_app({key})",
    ],
)
def test_the_key_of_a_step_is_a_text(world: World, line: str) -> None:
    world.workflow(OTHER, "other/hello.in_app", file="other")
    for place, key in enumerate(["7", "None", "''", "['a']", "'a' + chr(0)", "'k' * 5000"]):
        computed = f"(lambda: {key})()"
        source = MISTAKEN.replace("mistaken", f"mistaken-{place}", 1).format(line=line.format(key=computed), value=None)
        world.workflow(source, f"mistaken-{place}/m.in_app", file=f"flow_{place}")
    world.emit("it/happened")
    world.settle()

    assert world.statuses("other") == [("completed", None)]
    for row in world.notifications():
        if row.workflow != "other":
            assert row.status == "failed", row
            assert 'that tells it from the others, such as f"order-{number}"' in row.error["message"]


@on_one_database
@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("calls.append('told' if n.is_online(at='x') else 'untold')", "Step 'x'"),
        ("calls.append(not n.all(n.in_app('m')))", "n.all(…)"),
    ],
)
def test_a_step_that_was_not_awaited_is_neither_true_nor_false(world: World, line: str, what: str) -> None:
    said = "was asked whether it is true, and has no answer before it is awaited. Write `await` before it."

    assert happen(world, line) == f"{what} {said}"
    assert world.module().calls == []


@on_one_database
@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "await n.all([n.in_app('m')])",
            "n.all: a list is no step. Write n.all(*steps), as in n.all(a, b)",
        ),
        ("await n.all(n.in_app('m'), await n.is_online(at='x'))", "n.all: a bool is no step. Leave out `await` before"),
        ("await n.sleep_until('a', n.payload.get('at', 'soon'))", "sleep_until('a'): 'soon' is no datetime. Give it"),
    ],
)
def test_what_is_of_another_type_is_told(world: World, line: str, said: str) -> None:
    assert said in (happen(world, line) or "")
