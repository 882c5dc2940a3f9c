"""What is known of people beside their addresses, on both databases: their hours, and whether they are connected."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from notify.errors import InvalidInput, NotFound
from notify.model import Subscriber
from tests.world import START, World, migrated

OFFICE = {"mon-fri": "09:00-17:00"}
NINE_TO_FIVE = {"isEnabled": True, "hours": [{"start": "09:00 AM", "end": "05:00 PM"}]}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    return migrated(request, request.param)


@pytest.fixture
def world(tmp_path: Path, url: str) -> Iterator[World]:
    with World(tmp_path, url) as made:
        made.people("ann", "bob", timezone="Europe/Rome")
        yield made


def person(world: World, id_: str = "ann") -> Subscriber:
    return world.notify.subscribers.get(id_)


# --- hours --------------------------------------------------------------------------------------------


def test_hours_are_kept_in_the_shape_of_the_api_until_they_are_taken_away(world: World) -> None:
    kept = world.notify.subscribers.schedule("ann", OFFICE)
    given = person(world).schedule
    world.notify.subscribers.schedule("ann", None)

    assert kept is not None
    assert kept == given
    assert (kept["isEnabled"], kept["weeklySchedule"]["monday"]) == (True, NINE_TO_FIVE)
    assert not kept["weeklySchedule"]["sunday"]["isEnabled"]
    assert (person(world).schedule, person(world, "bob").schedule) == (None, None)


def test_hours_come_with_the_person_and_stay_where_they_are_not_named(world: World) -> None:
    people, seen = world.notify.subscribers, list[Any]()
    for fields in ({"schedule": OFFICE}, {"firstName": "Ann"}, {"schedule": None}):
        people.save([{"subscriberId": "ann", **fields}])
        seen.append(person(world).schedule)
    world.workflow('@workflow("any")\nasync def body(n: Notification[dict[str, Any]]) -> None: ...\n')
    world.trigger("any", [{"subscriberId": "cid", "schedule": OFFICE}, "bob"])
    world.settle()

    assert seen[0] == seen[1] == person(world, "cid").schedule
    assert (seen[0]["weeklySchedule"]["friday"], seen[2]) == (NINE_TO_FIVE, None)
    assert person(world).first_name == "Ann"


@pytest.mark.parametrize("hours", [5, "always", {}, {"mon-fri": "soon"}, {"someday": "09:00-17:00"}], ids=repr)
def test_what_is_no_hours_is_refused_and_changes_nothing(world: World, hours: Any) -> None:
    world.notify.subscribers.schedule("ann", OFFICE)
    before = person(world)

    with pytest.raises(InvalidInput, match=r"^schedule"):
        world.notify.subscribers.schedule("ann", hours)
    with pytest.raises(InvalidInput, match=r"^subscribers\[1\]\.schedule"):
        world.notify.subscribers.save([{"subscriberId": "new"}, {"subscriberId": "ann", "schedule": hours}])

    assert person(world) == before


# --- presence -----------------------------------------------------------------------------------------


def test_nobody_said_is_neither_on_nor_off(world: World) -> None:
    world.notify.subscribers.online("bob", False)

    assert (person(world).online, person(world).online_at) == (None, None)
    assert (person(world, "bob").online, person(world, "bob").online_at) == (False, START)


def test_presence_says_since_when(world: World) -> None:
    seen = list[Any]()
    for connected in (True, True, False, True):
        world.notify.subscribers.online("ann", connected)
        seen.append((person(world).online, person(world).online_at))
        world.advance(minutes=1)

    at = [START + timedelta(minutes=minutes) for minutes in range(4)]
    assert seen == [(True, at[0]), (True, at[0]), (False, at[2]), (True, at[3])]


def test_presence_of_many_is_one_call_and_passes_over_who_is_unknown(world: World) -> None:
    many = [f"p{number}" for number in range(300)]
    world.people(*many)

    said = {id_: place % 2 == 0 for place, id_ in enumerate(many)} | {"nobody": True}
    assert world.notify.subscribers.presence(said) == 300

    assert {id_: person(world, id_).online for id_ in many} | {"nobody": True} == said
    assert person(world).online is None
    assert world.notify.subscribers.presence({}) == 0


def test_saving_a_person_leaves_their_presence_alone(world: World) -> None:
    world.notify.subscribers.online("ann", True)
    world.people("ann", firstName="Ann")

    assert (person(world).first_name, person(world).online, person(world).online_at) == ("Ann", True, START)


def test_what_is_said_of_a_person_here_concerns_nobody_elsewhere(world: World, tmp_path: Path, url: str) -> None:
    other = World(tmp_path / "other", url, environment="other")
    other.people("ann")

    world.notify.subscribers.online("ann", True)
    world.notify.subscribers.schedule("ann", OFFICE)

    assert (person(other).online, person(other).schedule) == (None, None)
    other.__exit__()


@pytest.mark.parametrize(
    "said", [5, ["ann"], {"ann": "yes"}, {"ann": 1}, {"ann": None}, {"": True}, {5: True}], ids=repr
)
def test_presence_is_true_or_false_by_id(world: World, said: Any) -> None:
    with pytest.raises(InvalidInput, match=r"^presence"):
        world.notify.subscribers.presence(said)

    assert person(world).online is None


def test_nobody_has_no_hours_and_is_never_connected(world: World) -> None:
    for ask in (lambda some: some.online("nobody", True), lambda some: some.schedule("nobody", OFFICE)):
        with pytest.raises(NotFound, match="nobody"):
            ask(world.notify.subscribers)
