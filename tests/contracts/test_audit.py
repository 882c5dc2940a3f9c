"""The audit: a clean world is clean, and each way to break it is named."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from notify.reports import present
from notify.store import cancellations, tables
from notify.store.audit import Audit, audit
from notify.store.database import Database
from tests.contracts.reading_world import COMMENTED, DIGEST, ENVIRONMENT, LISTENERS, NOON, World, chosen_id, minutes


@pytest.fixture
def world(migrated_url: str) -> Iterator[World]:
    world = World(Database(migrated_url))
    yield world
    world.database.close()


@pytest.fixture
def members(world: World) -> list[str]:
    return world.three_in_a_digest()


def audited(world: World, listeners: dict[str, list[str]] | None = None, limit: int = 1000) -> Audit:
    known = LISTENERS if listeners is None else listeners
    return world.read(audit, known, now=world.now, limit=limit)


def broken(world: World) -> set[str]:
    return {finding.kind for finding in audited(world).violations}


def test_a_clean_world_is_clean_and_its_sums_agree(world: World, members: list[str]) -> None:
    found = audited(world)

    assert (found.violations, found.listings, found.clean) == ([], [], True)
    counts = found.counts
    assert (counts["events"], counts["notifications"], counts["omissions"], counts["messages"]) == (4, 3, 1, 2)
    assert (counts["windows_closed"], counts["digest_items"], counts["digest_members"]) == (1, 3, 3)
    assert counts["digest_withdrawn"] == counts["not_judged"] == 0


def test_an_empty_world_is_clean(world: World) -> None:
    assert audited(world).clean
    assert audited(world, {}).clean


def test_another_environment_is_another_world(world: World, members: list[str]) -> None:
    world.delete(tables.omissions, tables.omissions.c.workflow == DIGEST)
    with world.database.read() as connection:
        assert audit(connection, "elsewhere", LISTENERS, now=world.now).clean


# --- events -------------------------------------------------------------------------------------


def test_an_event_without_a_notification_or_a_reason_is_named(world: World, members: list[str]) -> None:
    lost = world.event()

    [finding] = audited(world).violations
    assert (finding.kind, finding.ids["event"], finding.ids["workflow"]) == ("event_undecided", lost.uid, DIGEST)
    assert lost.uid in finding.sentence
    assert finding.remedy


def test_each_workflow_that_listens_is_asked(world: World, members: list[str]) -> None:
    both = {COMMENTED: [DIGEST, "weekly-digest"]}
    world.omit(seen := world.event(), "weekly-digest")
    world.notification(seen)
    forgotten = world.event()
    world.notification(forgotten)

    found = [(finding.ids["event"], finding.ids["workflow"]) for finding in audited(world, both).violations]
    assert found == [(forgotten.uid, "weekly-digest")]


def test_an_event_older_than_a_workflow_says_nothing_about_it(world: World, members: list[str]) -> None:
    newer = {COMMENTED: [DIGEST, "brand-new"]}

    found = audited(world, newer)
    assert found.clean
    assert found.counts["not_judged"] == 4
    assert any("4 pairs of event and workflow were not judged" in line for line in present.audit_lines(found))


def test_an_event_nobody_listens_to_needs_that_as_its_reason(world: World) -> None:
    world.omit(world.event("task/archived"), "", "no_workflow")
    assert audited(world).clean

    world.event("task/archived")
    assert broken(world) == {"event_unheard"}


def test_a_trigger_needs_its_own_workflow_to_have_decided(world: World) -> None:
    trigger = world.event(DIGEST, kind="trigger", id="t1", data={"to": ["ada"]})
    world.notification(trigger, workflow="another")
    assert broken(world) == {"event_unheard"}

    world.notification(trigger)
    assert audited(world).clean


def test_a_reason_for_nobody_beside_a_notification_is_a_contradiction(world: World) -> None:
    event = world.event()
    world.notification(event)
    world.omit(event)

    assert broken(world) == {"told_and_omitted"}


def test_an_event_past_due_is_listed_and_one_ahead_is_not(world: World) -> None:
    late = world.event(matched=False, ts=NOON - minutes(1))
    world.event(matched=False, ts=NOON + minutes(1))

    found = audited(world)
    assert found.clean
    assert [(one.kind, one.ids["event"]) for one in found.listings] == [("pending", late.uid)]


def test_a_cancelled_event_owes_nobody_anything(world: World, members: list[str]) -> None:
    ahead = world.event(matched=False, ts=NOON + timedelta(days=1))
    world.write(cancellations.by_transaction, ENVIRONMENT, ahead.uid, "cancelled", world.now)

    assert audited(world).clean


def test_a_notification_nobody_will_wake_is_named(world: World) -> None:
    world.notification(world.event(), status="waiting", wake_at=NOON + minutes(5))
    assert audited(world).clean

    world.notification(world.event(), status="waiting")
    assert broken(world) == {"forgotten"}


# --- digests ------------------------------------------------------------------------------------


def test_members_of_an_open_window_are_in_order(world: World) -> None:
    world.collect(world.event(), world.event())

    assert audited(world).clean


def test_a_cancelled_member_takes_its_item_along(world: World) -> None:
    kept, gone = world.event(), world.event()
    world.collect(kept, gone)
    world.write(cancellations.by_transaction, ENVIRONMENT, gone.uid, "cancelled", world.now)
    world.close(NOON + minutes(20))

    found = audited(world)
    assert found.clean
    assert (found.counts["digest_items"], found.counts["digest_members"], found.counts["digest_withdrawn"]) == (1, 2, 1)


def test_a_carrier_cancelled_in_a_later_digest_did_carry_the_first(world: World, members: list[str]) -> None:
    world.change(tables.notifications, members[0], status="cancelled")
    items = tables.window_items
    world.write(
        lambda connection: connection.execute(
            items.update().where(items.c.notification == members[0]).values(withdrawn_at=world.now)
        )
    )

    assert audited(world).clean


def test_a_member_merged_into_a_window_still_open_is_named(world: World, members: list[str]) -> None:
    world.change(tables.windows, world.window(members[0]), state="open")

    assert "merged_into_nothing" in broken(world)


def test_a_member_merged_into_itself_is_named(world: World, members: list[str]) -> None:
    world.change(tables.windows, world.window(members[0]), carrier=members[1])

    [finding] = [one for one in audited(world).violations if one.kind == "merged_into_nothing"]
    assert finding.ids["notification"] == members[1]


def test_a_member_merged_into_no_window_is_named(world: World, members: list[str]) -> None:
    world.change(tables.notifications, members[2], window=None)

    assert broken(world) == {"merged_into_nothing", "items_do_not_add_up"}


@pytest.mark.parametrize("carrier", [None, chosen_id("dead")], ids=["none", "a missing one"])
def test_a_closed_window_without_its_carrier_is_named(world: World, members: list[str], carrier: str | None) -> None:
    world.change(tables.windows, world.window(members[0]), carrier=carrier)

    assert {"window_without_carrier", "merged_into_nothing"} <= broken(world)


def test_a_wrong_count_of_items_is_named(world: World, members: list[str]) -> None:
    world.change(tables.windows, world.window(members[0]), items=2)

    [finding] = audited(world).violations
    assert finding.kind == "items_do_not_add_up"
    assert "2 items, but holds 3 and has 3 members" in finding.sentence


def test_a_lost_item_is_named_from_both_sides(world: World, members: list[str]) -> None:
    world.delete(tables.window_items, tables.window_items.c.notification == members[2])

    assert broken(world) == {"member_without_item", "items_do_not_add_up"}


def test_a_lost_member_is_named_though_its_item_is_there(world: World, members: list[str]) -> None:
    world.change(tables.notifications, members[2], status="completed")

    assert broken(world) == {"items_do_not_add_up"}


def test_an_item_in_an_empty_window_is_lost(world: World) -> None:
    [member] = world.collect(world.event())
    world.change(tables.windows, world.window(member), state="empty")

    assert broken(world) == {"item_lost", "forgotten"}


def test_an_item_withdrawn_from_a_living_notification_is_named(world: World, members: list[str]) -> None:
    items = tables.window_items
    world.write(
        lambda connection: connection.execute(
            items.update().where(items.c.notification == members[1]).values(withdrawn_at=world.now)
        )
    )

    assert broken(world) == {"item_withdrawn_from_the_living", "items_do_not_add_up"}
