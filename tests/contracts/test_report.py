"""The delivery report by known numbers, and the counts of the reference workflows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import orjson
import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

from notify import clock
from notify.commands.reading import app
from notify.reports import delivery as delivering
from notify.reports import present, reference
from notify.store.database import Database
from tests.contracts.reading_world import ENVIRONMENT, NOON, World, content, minutes


@pytest.fixture
def world(migrated_url: str) -> Iterator[World]:
    world = World(Database(migrated_url))
    yield world
    world.database.close()


def report(world: World, since: datetime | None = None, until: datetime | None = None, **more: Any) -> pd.DataFrame:
    with clock.use(clock.Frozen(NOON + minutes(1))):
        return delivering.delivery(since, until, database=world.database, environment=ENVIRONMENT, **more)


def row_of(frame: pd.DataFrame, channel: str) -> dict[str, Any]:
    [row] = [row for row in delivering.as_json(frame) if row["channel"] == channel]
    return row


def some_of_everything(world: World) -> None:
    """E-mail: 2 delivered after 30 s and 60 s, 3 sent, one of each other ending; in-app: 1 delivered at once."""
    endings = {"delivered": 2, "sent": 3, "failed": 1, "bounced": 1, "timeout": 1, "rate_limited": 1, "unknown": 1}
    waiting = {"queued": 1, "held": 1, "skipped": 1, "suppressed": 1, "cancelled": 1}
    for status, count in (endings | waiting).items():
        for place in range(count):
            delivered = NOON + timedelta(seconds=30 * (place + 1)) if status == "delivered" else None
            world.told(f"{status}-{place}", status=status, delivered_at=delivered)
    world.told("ada", channel="in_app", status="delivered", delivered_at=NOON)


# --- the formulas --------------------------------------------------------------------------------


def test_the_formulas_by_known_numbers(world: World) -> None:
    some_of_everything(world)

    email = row_of(report(world), "email")
    assert {name: email[name] for name in ("total", "delivered", "sent", "failed", "skipped", "queued", "unknown")} == {
        "total": 15,
        "delivered": 2,
        "sent": 3,
        "failed": 4,
        "skipped": 3,
        "queued": 2,
        "unknown": 1,
    }
    assert email["failures"] == 1
    assert email["delivery_rate"] == pytest.approx(2 * 100 / 15)
    assert email["accepted_rate"] == pytest.approx((3 + 2) * 100 / 10)
    assert email["avg_delivery_seconds"] == pytest.approx(45, abs=0.001)


def test_the_last_row_is_everything_together(world: World) -> None:
    some_of_everything(world)

    frame = report(world)
    assert list(frame.columns) == list(delivering.COLUMNS)
    assert list(frame["channel"]) == ["email", "in_app", "all"]
    everything = row_of(frame, "all")
    assert (everything["total"], everything["delivered"], everything["failures"]) == (16, 3, 1)
    assert everything["delivery_rate"] == pytest.approx(3 * 100 / 16)
    assert everything["accepted_rate"] == pytest.approx(6 * 100 / 11)
    assert everything["avg_delivery_seconds"] == pytest.approx((30 + 60 + 0) / 3, abs=0.001)


def test_the_columns_add_up_to_the_total(world: World) -> None:
    some_of_everything(world)

    frame = report(world)
    parts = frame[["delivered", "sent", "failed", "skipped", "queued", "unknown"]].sum(axis=1)
    assert list(parts) == list(frame["total"])


def test_without_receipts_the_two_rates_differ_as_explained(world: World) -> None:
    world.told(status="sent")

    email = row_of(report(world), "email")
    assert (email["delivery_rate"], email["accepted_rate"], email["avg_delivery_seconds"]) == (0.0, 100.0, None)
    assert "delivered·100/all" in delivering.EXPLANATION
    assert "(sent+delivered)·100/attempted" in delivering.EXPLANATION
    assert "\n" not in delivering.EXPLANATION


def test_where_nothing_was_attempted_there_is_no_rate(world: World) -> None:
    world.told(status="skipped", reason="opted_out")

    frame = report(world)
    assert math.isnan(frame.loc[0, "accepted_rate"])  # type: ignore[arg-type]
    assert row_of(frame, "email")["accepted_rate"] is None


def test_an_empty_log_is_one_row_of_zeros(world: World) -> None:
    [row] = delivering.as_json(report(world))

    assert (row["channel"], row["total"], row["delivery_rate"]) == ("all", 0, None)


def test_it_covers_the_last_24_hours_unless_told(world: World) -> None:
    day = NOON + minutes(1) - timedelta(hours=24)
    for created in (day - minutes(1), day, NOON):
        world.told(str(created), status="sent", created_at=created)

    assert row_of(report(world), "all")["total"] == 2
    assert row_of(report(world, since=day - minutes(1)), "all")["total"] == 3
    assert row_of(report(world, until=NOON), "all")["total"] == 2
    assert row_of(report(world, since=day, until=NOON), "all")["total"] == 1


def test_one_workflow_and_one_environment_at_a_time(world: World) -> None:
    world.told("ada", status="sent")
    world.told("bob", status="sent", workflow="task-assigned")

    assert row_of(report(world, workflow="task-assigned"), "all")["total"] == 1
    elsewhere = delivering.delivery(NOON, database=world.database, environment="elsewhere")
    assert row_of(elsewhere, "all")["total"] == 0


def test_the_table_fits_and_is_ready_for_json(world: World) -> None:
    some_of_everything(world)
    console = Console(width=present.WIDTH, record=True, file=StringIO())

    frame = report(world)
    console.print(present.delivery_table(frame, delivering.EXPLANATION))

    text = console.export_text()
    assert "…" not in text
    assert "13.3" in text
    orjson.dumps(delivering.as_json(frame))


# --- the reference workflows ---------------------------------------------------------------------


def assigned(world: World, by: str, due: str | None) -> None:
    world.event("task/assigned", data={"taskId": "T1", "assigneeId": "ada", "assignerId": by, "dueDate": due})


def test_counts_of_the_reference_workflows(world: World) -> None:
    assigned(world, "ada", None)
    assigned(world, "bob", "2026-10-20T12:00:00Z")
    world.event("task/deadline.approaching", data={"taskId": "T1"})
    world.event("task-assigned", kind="trigger", id="t1", data={"to": ["ada"]})
    carriers = [world.three_in_a_digest()[0]]
    world.omit(world.event(), reason="only_own_comment")
    carriers += world.collect(world.event(ts=world.now), person="bob", key="T2")
    carriers += world.collect(world.event(ts=world.now), person="cleo", key="T2")
    carriers += world.collect(world.event(ts=world.now), key="T1")
    world.close(world.now + minutes(15))
    for carrier, person, reason in zip(
        carriers[1:], ("bob", "cleo", "ada"), ("missing_address", "opted_out", "opted_out_of_all"), strict=True
    ):
        world.message(carrier, status="skipped", reason=reason, subscriber=person, window=world.window(carrier))
    world.people([{"id": "ada", "email": "ada@example.test"}, {"id": "bob"}, {"id": "cleo", "email": ""}])

    assert reference.counts(world.database, ENVIRONMENT) == {
        "events": 10,
        "assigned": 2,
        "with_due": 1,
        "self_assigned": 1,
        "comments": 8,
        "comments_nobody_to_tell": 2,
        "of_these_no_recipient": 1,
        "of_these_only_own_comment": 1,
        "digest_items": 6,
        "task_person_pairs": 3,
        "windows_fixed_min": {"15": 4},
        "digest_15_emails": 1,
        "digest_15_no_address": 1,
        "digest_15_opted_out": 1,
        "daily_digest_people": 0,
        "people": 3,
        "no_email": 2,
    }


def test_windows_are_counted_by_their_length(world: World) -> None:
    world.collect(world.event(), length=minutes(60))
    world.collect(world.event(), key="T2", length=minutes(0.5))
    world.collect(world.event(), key="T3", length=minutes(1440))
    world.close(NOON + minutes(90))

    assert reference.counts(world.database, ENVIRONMENT)["windows_fixed_min"] == {"0.5": 1, "60": 1}


def test_whoever_has_collected_something_for_the_day_is_counted(world: World) -> None:
    for person in ("ada", "bob"):
        world.collect(world.event(), world.event(), person=person, workflow="daily-digest")

    assert reference.counts(world.database, ENVIRONMENT)["daily_digest_people"] == 2


# --- the command ---------------------------------------------------------------------------------


def test_the_command_prints_delivery_and_counts(
    migrated_url: str, home: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_DATABASE_URL", migrated_url)
    world = World(Database(migrated_url))
    world.told(status="sent", content=content("Three comments"))

    result = CliRunner().invoke(app, ["report", "--since", "2026-10-12T00:00Z", "--json"])
    printed = orjson.loads(result.stdout)
    assert [row["channel"] for row in printed["delivery"]] == ["email", "all"]
    assert printed["counts"]["comments"] == 1
    table = CliRunner().invoke(app, ["report", "--since", "2026-10-12T00:00Z"])
    assert delivering.EXPLANATION.split(";")[0] in table.stdout
    world.database.close()
