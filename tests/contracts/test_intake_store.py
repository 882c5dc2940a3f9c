"""Taking events in, on both databases: verdicts, pages, waiting for a time, and environments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from notify.errors import InvalidEvent, InvalidInput, NotFound
from notify.intake import make_event
from notify.model import Event, Receipt, Verdict, new_id
from notify.store import events
from notify.store.tables import events as stored
from notify.store.tables import omissions, outbox
from tests.world import START, World, migrated

ACCEPTED, DUPLICATE, CANCELLED = Verdict.ACCEPTED, Verdict.DUPLICATE, Verdict.CANCELLED
TELL = """
@workflow("tell", on="happened", to="ann")
async def tell(n: Notification[dict[str, Any]]) -> None:
    await n.in_app("note")
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    return migrated(request, request.param)


@pytest.fixture
def make(tmp_path: Path, url: str) -> Iterator[Callable[[str], World]]:
    """A world for each environment named, all in one database and under the clock of the first."""
    made: list[World] = []

    def make(environment: str = "default") -> World:
        world = World(tmp_path / environment, url, environment=environment)
        world.workflow(TELL, "tell/note.in_app")
        return made.append(world if made else world.__enter__()) or world

    yield make
    for world in reversed(made):
        world.__exit__()


@pytest.fixture
def world(make: Callable[..., World]) -> World:
    return make()


def verdicts(receipts: list[Receipt]) -> list[Verdict | None]:
    return [one.verdict for one in receipts]


def later(world: World, **length: float) -> None:
    world.clock.advance(timedelta(**length))


def count(world: World, table: sa.Table = stored) -> int:
    return len(world.rows(sa.select(table.c.uid)))


# --- the same thing twice -----------------------------------------------------------------------------


def test_an_id_seen_before_starts_nothing_and_gives_the_earlier_uid(world: World) -> None:
    first = world.emit("happened", {"a": 1}, id="e1")
    second = world.emit("happened", {"a": 2}, id="e1")

    assert verdicts([first, second]) == [ACCEPTED, DUPLICATE]
    assert (second.uid, second.transaction_id) == (first.uid, first.uid)
    world.settle()
    assert len(world.notifications()) == 1
    assert count(world) == 1


def test_an_id_counts_for_24_hours_from_its_first_reception_and_a_duplicate_does_not_renew_it(world: World) -> None:
    seen: list[Verdict | None] = []
    for hours in (0, 12, 11.99, 0.02, 23.98, 0.03):
        later(world, hours=hours)
        seen.append(world.emit("happened", id="e1").verdict)

    assert seen == [ACCEPTED, DUPLICATE, DUPLICATE, ACCEPTED, DUPLICATE, ACCEPTED]
    world.settle()
    assert len(world.notifications()) == 3


def test_the_window_follows_the_reception_and_not_the_event_s_own_time(world: World) -> None:
    first = world.emit("happened", id="e1", ts=START - timedelta(days=30))
    second = world.emit("happened", id="e1", ts=START + timedelta(days=30))

    assert verdicts([first, second]) == [ACCEPTED, DUPLICATE]


def test_an_id_under_another_name_or_environment_is_another_event(make: Callable[[str], World]) -> None:
    one, other = make("one"), make("other")

    receipts = [one.emit("happened", id="e1"), one.emit("else", id="e1"), other.emit("happened", id="e1")]

    assert verdicts(receipts) == [ACCEPTED] * 3
    assert len({receipt.uid for receipt in receipts}) == 3


def test_an_event_and_a_trigger_of_one_name_and_id_do_not_meet(world: World) -> None:
    assert world.emit("tell", id="e1").verdict is ACCEPTED
    assert world.trigger("tell", "ann", transaction_id="e1").verdict is ACCEPTED


def test_events_without_an_id_are_all_new(world: World) -> None:
    assert verdicts([world.emit("happened", {"a": 1}) for _ in range(2)]) == [ACCEPTED, ACCEPTED]


def test_duplicates_within_one_batch_follow_its_order(world: World) -> None:
    names = [("happened", "e1"), ("happened", "e2"), ("happened", "e1"), ("else", "e1"), ("happened", "e1")]

    receipts = world.notify.emit_many({"name": name, "data": {}, "id": id_} for name, id_ in names)

    assert verdicts(receipts) == [ACCEPTED, ACCEPTED, DUPLICATE, ACCEPTED, DUPLICATE]
    assert [receipts[2].uid, receipts[4].uid] == [receipts[0].uid] * 2
    assert [receipt.id for receipt in receipts] == ["e1", "e2", "e1", "e1", "e1"]


def test_a_batch_given_twice_is_all_duplicates(world: World) -> None:
    batch = [{"name": "happened", "data": {}, "id": f"e{place}"} for place in range(50)]

    first, second = world.notify.emit_many(batch), world.notify.emit_many(reversed(batch))

    assert verdicts(second) == [DUPLICATE] * 50
    assert [one.uid for one in second] == [one.uid for one in reversed(first)]


def received(world: World, id_: str, hours: float) -> Event:
    return make_event("happened", {}, {}, START + timedelta(hours=hours), id=id_)


def test_each_event_of_a_late_batch_is_judged_by_its_own_reception(world: World) -> None:
    world.emit("happened", id="e1")
    batch = [received(world, "e2", 1), received(world, "e1", 25)]

    assert verdicts(world.notify.accept(batch)) == [ACCEPTED, ACCEPTED]


def test_two_of_one_id_in_a_late_batch_are_two_events_when_a_day_lies_between(world: World) -> None:
    batch = [received(world, "e1", 0), received(world, "e1", 23), received(world, "e1", 25)]

    assert verdicts(world.notify.accept(batch)) == [ACCEPTED, DUPLICATE, ACCEPTED]


# --- pages --------------------------------------------------------------------------------------------


def test_many_events_are_taken_page_by_page_in_their_order(world: World) -> None:
    receipts = world.notify.emit_many({"name": "unheard/of", "data": {"n": n}, "id": f"e{n}"} for n in range(2001))

    assert verdicts(receipts) == [ACCEPTED] * 2001
    assert [receipt.id for receipt in receipts] == [f"e{n}" for n in range(2001)]
    assert count(world) == 2001


def test_a_mistake_names_its_place_and_the_page_it_is_in_is_not_written(world: World) -> None:
    batch = [{"name": "happened", "data": {}} for _ in range(1500)]
    batch[1200] = {"name": "happened", "data": "text"}

    with pytest.raises(InvalidEvent, match=r"events\[1200\]\.data"):
        world.notify.emit_many(batch)

    assert count(world) == 1000


def test_an_empty_batch_has_no_receipts(world: World) -> None:
    assert world.notify.emit_many([]) == []


# --- waiting for a time -------------------------------------------------------------------------------


def held(world: World) -> list[str]:
    with world.notify.database.read() as connection:
        return [one.uid for one in events.held(connection, world.settings.environment, world.clock.at)]


def test_an_event_of_the_future_is_visible_and_waits_for_its_time(world: World) -> None:
    receipt = world.emit("happened", ts=START + timedelta(hours=1))

    world.settle()
    assert (receipt.verdict, held(world), world.notifications()) == (ACCEPTED, [receipt.uid], [])
    assert not world.notify.outcomes(receipt.uid).settled

    world.advance(hours=1)
    assert held(world) == []
    assert world.statuses() == [("completed", None)]


def test_an_event_of_the_future_can_be_cancelled_once(world: World) -> None:
    receipt = world.emit("happened", ts=START + timedelta(hours=1))
    world.settle()

    assert [world.notify.cancel(receipt.transaction_id) for _ in range(2)] == [1, 0]

    world.advance(hours=2)
    assert (held(world), world.notifications()) == ([], [])
    assert [row.verdict for row in world.rows(sa.select(stored.c.verdict))] == [CANCELLED]


def test_a_trigger_of_the_future_can_be_cancelled_by_its_transaction(world: World) -> None:
    world.trigger("tell", "ann", transaction_id="tx", at=START + timedelta(hours=1))

    assert world.notify.cancel("tx") == 1
    world.advance(hours=2)
    assert world.notifications() == []


def test_a_name_nobody_listens_to_is_kept_with_that_reason(world: World) -> None:
    receipt = world.emit("unheard/of", {"a": 1})
    world.settle()

    [omission] = world.rows(sa.select(omissions))
    assert (omission.event, omission.workflow, omission.reason) == (receipt.uid, "", "no_workflow")
    assert count(world) == 1
    assert world.notify.outcomes(receipt.uid).settled


ORDERED = """
def concerned(event: Event) -> str:
    calls.append(event.id)
    return "ann"


@workflow("tell", on="happened", to=concerned)
async def tell(n: Notification[dict[str, Any]]) -> None:
    await n.in_app("note")
"""


def test_events_are_matched_in_the_order_of_their_own_times(world: World) -> None:
    world.workflow(ORDERED)
    for id_, minutes in [("c", 3), ("a", 1), ("d", 3), ("b", 2)]:
        world.emit("happened", id=id_, ts=START - timedelta(hours=1) + timedelta(minutes=minutes))
        later(world, seconds=1)

    world.settle()

    assert world.module().calls == ["a", "b", "c", "d"]


# --- environments -------------------------------------------------------------------------------------


def test_two_environments_of_one_database_see_nothing_of_each_other(make: Callable[[str], World]) -> None:
    one, other = make("one"), make("other")
    one.people("ann")
    receipt = one.emit("happened", id="e1")
    held_back = one.emit("happened", ts=START + timedelta(hours=1))

    other.settle()
    assert one.notifications() == []
    one.settle()

    assert len(one.notifications()) == 1
    assert (other.notifications(), other.messages()) == ([], [])
    assert (other.notify.inbox("ann").list(), other.notify.inbox("ann").count(unread=False)) == ([], 0)
    assert not other.notify.outcomes(receipt.uid).known
    assert other.notify.cancel(held_back.uid) == 0
    assert held(other) == []
    with pytest.raises(NotFound):
        other.notify.subscribers.get("ann")
    with pytest.raises(NotFound):
        other.notify.inbox("ann").read(one.messages()[0].id)


def test_an_outbox_is_emptied_by_its_own_environment_only(make: Callable[[str], World]) -> None:
    one, other = make("one"), make("other")
    with one.notify.database.engines[-1].begin() as connection:
        one.emit("happened", connection=connection)

    other.settle()
    assert count(one, outbox) == 1
    one.settle()
    assert (count(one, outbox), len(one.notifications())) == (0, 1)


def test_an_unknown_transaction_cancels_nothing_and_is_known_as_unknown(world: World) -> None:
    for unknown in ("tx", new_id(), ""):
        assert world.notify.cancel(unknown) == 0
        assert not world.notify.outcomes(unknown).known


def test_nothing_is_written_of_an_event_that_is_refused(world: World) -> None:
    with pytest.raises(InvalidInput):
        world.emit("happened", {"a": "\0"}, id="e1")

    assert count(world) == 0
    assert world.emit("happened", id="e1").verdict is ACCEPTED
