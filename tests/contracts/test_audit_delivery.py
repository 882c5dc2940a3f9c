"""The audit of messages and calls, and what an audit looks like."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import orjson
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from notify.commands.reading import app
from notify.model import new_id
from notify.reports import present
from notify.store import tables
from notify.store.audit import Audit, audit
from notify.store.database import Database
from tests.contracts.reading_world import COMMENTED, DIGEST, LISTENERS, NOON, World


@pytest.fixture
def world(migrated_url: str) -> Iterator[World]:
    world = World(Database(migrated_url))
    yield world
    world.database.close()


@pytest.fixture
def members(world: World) -> list[str]:
    return world.three_in_a_digest()


def audited(world: World, limit: int = 1000) -> Audit:
    return world.read(audit, LISTENERS, now=world.now, limit=limit)


def broken(world: World) -> set[str]:
    return {finding.kind for finding in audited(world).violations}


def listed(world: World) -> set[str]:
    return {finding.kind for finding in audited(world).listings}


def email_of(world: World, carrier: str) -> str:
    is_email = sa.and_(tables.messages.c.notification == carrier, tables.messages.c.channel == "email")
    with world.database.read() as connection:
        return connection.execute(sa.select(tables.messages.c.id).where(is_email)).scalar_one()


def test_a_step_decided_twice_is_named(world: World, members: list[str]) -> None:
    world.sent(members[0], id=new_id())

    [finding] = audited(world).violations
    assert (finding.kind, finding.ids["step"], finding.ids["messages"]) == ("decided_twice", "comments.email", 2)


def test_two_accepted_calls_are_named(world: World, members: list[str]) -> None:
    world.attempts(email_of(world, members[0]), "accepted", "accepted")

    assert broken(world) == {"sent_twice"}


def test_a_send_after_a_lost_answer_is_listed_where_the_author_preferred_it(world: World, members: list[str]) -> None:
    world.attempts(email_of(world, members[0]), "unknown", "retry", "accepted")

    found = audited(world)
    assert found.clean
    assert [(one.kind, one.ids["number"]) for one in found.listings] == [("unknown_then_sent", 1)]


def test_a_send_after_a_lost_answer_breaks_at_most_once(world: World, members: list[str]) -> None:
    message = email_of(world, members[0])
    world.attempts(message, "unknown", "accepted")
    world.change(tables.messages, message, delivery="at_most_once")

    assert broken(world) == {"called_after_unknown"}
    assert listed(world) == set()


def test_retries_after_a_clear_no_are_in_order(world: World, members: list[str]) -> None:
    world.attempts(email_of(world, members[0]), "retry", "retry", "accepted")

    assert (broken(world), listed(world)) == (set(), set())


def test_a_message_sent_that_nobody_accepted_is_named(world: World, members: list[str]) -> None:
    world.attempts(email_of(world, members[0]), "rejected")

    assert broken(world) == {"sent_without_acceptance"}


def test_a_call_without_an_answer_is_listed_once_nobody_waits_for_it(world: World, members: list[str]) -> None:
    message = world.message(members[0], "push", claim=new_id())
    world.attempts(message, None)
    world.change(tables.messages, message, lease_until=_far_ahead())
    assert listed(world) == set()

    world.change(tables.messages, message, claim=None)
    assert (broken(world), listed(world)) == (set(), {"interrupted"})


def _far_ahead() -> object:
    # Leases are told by the database's own clock, which no test moves.
    return NOON + timedelta(days=365_000)


def test_a_message_that_ended_unknown_is_listed(world: World, members: list[str]) -> None:
    world.message(members[0], "push", "unknown", reason="no_answer")

    assert (broken(world), listed(world)) == (set(), {"unknown"})
    assert audited(world).counts["messages_unknown"] == 1


# --- what it looks like --------------------------------------------------------------------------


def test_findings_beyond_the_limit_are_counted(world: World, members: list[str]) -> None:
    for _ in range(3):
        world.event()

    found = audited(world, limit=2)
    assert (len(found.violations), found.counts["event_undecided"]) == (2, 3)
    assert "… and 1 more of event_undecided" in present.audit_lines(found)
    assert present.audit_lines(found)[-1] == "7 events, 2 messages: 3 violations."


def test_it_is_ready_for_json(world: World, members: list[str]) -> None:
    lost = world.event()

    made = present.audit_json(audited(world))
    assert made["clean"] is False
    assert made["violations"][0]["ids"] == {"event": lost.uid, "workflow": DIGEST, "name": COMMENTED}
    assert made["counts"]["event_undecided"] == 1
    orjson.dumps(made)


@pytest.fixture
def installed(migrated_url: str, home: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World(Database(migrated_url))
    monkeypatch.setenv("NOTIFY_DATABASE_URL", migrated_url)
    yield world
    world.database.close()


def test_the_command_exits_0_on_a_clean_world(installed: World) -> None:
    installed.omit(installed.event("task/archived"), "", "no_workflow")

    result = CliRunner().invoke(app, ["audit"])
    assert (result.exit_code, "nothing lost, nothing decided twice" in result.stdout) == (0, True)


def test_the_command_exits_1_with_a_line_a_violation(installed: World) -> None:
    lost = [installed.event("task/archived").uid for _ in range(2)]

    told = CliRunner().invoke(app, ["audit"])
    assert told.exit_code == 1
    lines = [line for line in told.stdout.splitlines() if line.startswith("✗ event_unheard: ")]
    assert [uid for uid in lost if not any(uid in line for line in lines)] == []
    assert all(line.endswith("Emit it again under a new id.") for line in lines)
    as_json = CliRunner().invoke(app, ["audit", "--json"])
    assert (as_json.exit_code, len(orjson.loads(as_json.stdout)["violations"])) == (1, 2)
