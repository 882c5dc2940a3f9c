"""The log, read back: pages, filters, finding by the beginning of an id, following."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import orjson
import pytest
from rich.console import Console
from typer.testing import CliRunner

from notify import clock
from notify.commands.reading import app, instant
from notify.errors import InvalidInput, NotFound
from notify.reports import following, present
from notify.reports.why import why
from notify.store import log, tables
from notify.store.database import Database
from tests.contracts.reading_world import DIGEST, ENVIRONMENT, NOON, World, chosen_id, minutes

RUNNER = CliRunner()


@pytest.fixture
def world(migrated_url: str) -> Iterator[World]:
    world = World(Database(migrated_url))
    yield world
    world.database.close()


def paged(world: World, size: int) -> list[list[str]]:
    pages: list[list[str]] = []
    after = None
    while page := world.read(log.rows, after=after, limit=size):
        pages.append([row.id for row in page])
        after = (page[-1].created_at, page[-1].id)
    return pages


# --- pages and filters ---------------------------------------------------------------------------


def test_pages_are_newest_first_and_leave_nothing_out_where_instants_are_equal(world: World) -> None:
    ids = [world.told(f"p{place}", created_at=NOON + minutes(place // 3)) for place in range(7)]

    pages = paged(world, 2)
    flat = [id_ for page in pages for id_ in page]
    assert [len(page) for page in pages] == [2, 2, 2, 1]
    assert flat == [row.id for row in world.read(log.rows)]
    assert (sorted(flat), flat[0]) == (sorted(ids), ids[6])


def test_what_is_new_does_not_disturb_a_page(world: World) -> None:
    for place in range(4):
        world.told(f"p{place}", created_at=NOON + minutes(place))
    first = world.read(log.rows, limit=2)

    world.told("late", created_at=NOON + minutes(9))

    rest = world.read(log.rows, after=(first[-1].created_at, first[-1].id))
    assert [row.subscriber for row in rest] == ["p1", "p0"]


@pytest.mark.parametrize(
    ("filters", "people"),
    [
        ({"workflow": "task-assigned"}, ["bob"]),
        ({"channel": "in_app"}, ["bob"]),
        ({"subscriber": "ada"}, ["ada"]),
        ({"transaction_id": "t-cleo"}, ["cleo"]),
        ({"status": "skipped"}, ["cleo"]),
        ({"reason": "opted_out"}, ["cleo"]),
        ({"since": NOON + minutes(1)}, ["cleo", "bob"]),
        ({"until": NOON + minutes(1)}, ["ada"]),
        ({"since": NOON, "until": NOON + minutes(2), "channel": "email"}, ["ada"]),
        ({"workflow": None, "status": "bounced"}, []),
    ],
)
def test_filters_narrow(world: World, filters: dict[str, Any], people: list[str]) -> None:
    world.told("ada")
    world.told("bob", workflow="task-assigned", channel="in_app", status="delivered", created_at=NOON + minutes(1))
    late = {"created_at": NOON + minutes(2), "transaction_id": "t-cleo"}
    world.told("cleo", status="skipped", reason="opted_out", **late)

    assert [row.subscriber for row in world.read(log.rows, **filters)] == people


def test_another_environment_has_another_log(world: World) -> None:
    world.told()
    with world.database.read() as connection:
        assert log.rows(connection, "elsewhere") == []


# --- finding one ---------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 7, 8, 9, 13, 14, 18, 23, 35, 36])
def test_a_beginning_of_any_length_finds_its_row(world: World, length: int) -> None:
    message = world.told(id=chosen_id("abcd1234-5678-4"))
    world.told("bob", id=chosen_id("bbcd1234"))
    world.delete(tables.notifications, tables.notifications.c.workflow == DIGEST)

    assert world.read(log.matching, message[:length].upper()) == [log.Found(log.MESSAGE, message)]


@pytest.mark.parametrize("text", ["", "%", "_", "xyz", "ab cd", "0" * 33])
def test_what_is_no_beginning_of_an_id_finds_nothing(world: World, text: str) -> None:
    world.told()

    assert world.read(log.matching, text) == []


def test_the_beginning_of_a_notification_finds_it_too(world: World) -> None:
    notification = world.notification(world.event(), id=chosen_id("cafe"))

    assert world.read(log.matching, "cafe") == [log.Found(log.NOTIFICATION, notification)]
    assert world.read(log.matching, "cafe", log.MESSAGE) == []


def test_an_ambiguous_beginning_names_the_candidates(world: World) -> None:
    ids = [world.told(person, id=chosen_id("feed", number)) for number, person in enumerate(("ada", "bob"))]

    with pytest.raises(InvalidInput) as raised:
        why("feed", database=world.database, environment=ENVIRONMENT)
    assert all(f"message {id_}" in str(raised.value) for id_ in ids)


def test_an_unknown_beginning_says_where_to_look(world: World) -> None:
    with pytest.raises(NotFound, match="notify log"):
        why("feed", database=world.database, environment=ENVIRONMENT)


# --- the trace -----------------------------------------------------------------------------------


def test_the_trace_has_each_step_with_its_duration_in_order(world: World) -> None:
    notification = world.notification(world.event())
    world.step(notification, "send", "send", started_at=NOON + minutes(15))
    world.step(notification, "burst", "digest", finished_at=NOON + minutes(15))
    world.step(notification, "fetch", "run", state="failed", error={"message": "gone"}, finished_at=NOON)

    steps = world.read(log.trace, notification)
    assert [(step.key, step.state, step.seconds) for step in steps] == [
        ("burst", "completed", 900.0),
        ("fetch", "failed", 0.0),
        ("send", "completed", None),
    ]
    assert steps[1].error == {"message": "gone"}


# --- following -----------------------------------------------------------------------------------


def test_following_gives_each_row_once_late_commits_included(world: World) -> None:
    world.told("before", created_at=NOON - minutes(1))
    rounds = [
        lambda: world.told("ada", created_at=NOON + timedelta(seconds=20)),
        lambda: world.told("bob", created_at=NOON + timedelta(seconds=5)),  # began earlier, committed later
        lambda: world.told("cleo", created_at=NOON + minutes(10)),
    ]

    def wait() -> bool:
        return bool(rounds and rounds.pop(0)())

    rows = following.follow(world.database, ENVIRONMENT, start=NOON, wait=wait)
    assert [row.subscriber for row in rows] == ["ada", "bob", "cleo"]


def test_following_heeds_the_filters(world: World) -> None:
    world.told("ada")
    world.told("bob")

    rows = following.follow(world.database, ENVIRONMENT, start=NOON, wait=lambda: False, subscriber="bob")
    assert [row.subscriber for row in rows] == ["bob"]


# --- what it looks like --------------------------------------------------------------------------


def test_the_table_fits_and_keeps_what_is_searched_for(world: World) -> None:
    long = {"workflow": "a-workflow-with-a-very-long-name-indeed", "subscriber": "somebody-with-a-long-id-0001"}
    notification = world.notification(world.event())
    world.message(notification, status="rate_limited", reason="opted_out_of_all", **long)
    console = Console(width=present.WIDTH, record=True, file=StringIO())

    rows = world.read(log.rows)
    console.print(present.log_table(rows))

    lines = console.export_text().splitlines()
    assert max(len(line) for line in lines) <= present.WIDTH
    assert len(lines) == 2
    assert rows[0].id[:8] in lines[1]
    assert "rate_limited" in lines[1]


def test_rows_are_ready_for_json(world: World) -> None:
    world.told()

    [row] = present.log_json(world.read(log.rows))
    assert row["created_at"] == "2026-10-12T12:00:00.000000Z"
    assert (row["subscriber"], row["sent_at"]) == ("ada", None)
    orjson.dumps(row)


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture
def installed(migrated_url: str, home: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A store as an installation has it, and the environment that names it."""
    world = World(Database(migrated_url))
    monkeypatch.setenv("NOTIFY_DATABASE_URL", migrated_url)
    yield world
    world.database.close()


def test_the_command_lists_and_filters(installed: World) -> None:
    installed.told("ada")
    installed.told("bob", status="skipped", reason="opted_out")

    listed = RUNNER.invoke(app, ["log", "--reason", "opted_out"])
    assert (listed.exit_code, "bob" in listed.output, "ada" in listed.output) == (0, True, False)
    [row] = orjson.loads(RUNNER.invoke(app, ["log", "--json", "--person", "ada", "-n", "5"]).stdout)
    assert row["subscriber"] == "ada"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["log", "--since", "2026-10-12T12:00"], "--since: '2026-10-12T12:00' has no zone. Add one: 2026-10-12T12:00Z"),
        (["log", "--since", "yesterday"], "--since: 'yesterday' is no instant."),
        (["log", "--until", "999999999999d"], "is no instant"),
        (["log", "--status", "lost"], "--status: 'lost' is no status. Use one of queued, held"),
        (["why", "feed"], "No message or notification 'feed' is known."),
    ],
)
def test_mistakes_are_one_line_and_exit_1(installed: World, arguments: list[str], said: str) -> None:
    result = RUNNER.invoke(app, arguments)

    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_why_takes_the_eight_characters_that_log_shows(installed: World) -> None:
    message = installed.told("ada", status="skipped", reason="opted_out")

    result = RUNNER.invoke(app, ["why", message[:8]])
    assert result.exit_code == 0, result.output
    assert "person ✗" in result.stdout


def test_lengths_of_time_count_back_from_now() -> None:
    with clock.use(clock.Frozen(NOON)):
        assert instant("24h", "--since") == NOON - timedelta(hours=24)
        assert instant("7d", "--since") == NOON - timedelta(days=7)
    assert instant("2026-10-12T14:00+02:00", "--since") == NOON
    assert instant(None, "--since") is None
