"""The chain of reasons of a message or notification, why somebody was not told, and a person's day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from zoneinfo import ZoneInfo

import orjson
import pytest
from rich.console import Console

from notify import clock
from notify.errors import NotFound
from notify.reports import present, reasons, story
from notify.reports.story import Day
from notify.reports.why import Why, spoken, why, why_not
from notify.store import tables
from notify.store.database import Database
from tests.contracts.reading_world import DIGEST, ENVIRONMENT, NOON, World, content, minutes


@pytest.fixture
def world(migrated_url: str) -> Iterator[World]:
    world = World(Database(migrated_url))
    yield world
    world.database.close()


def chain(world: World, id: str) -> list[tuple[str, str]]:
    return [(link.what, link.because) for link in why(id, database=world.database, environment=ENVIRONMENT).chain]


def words(answer: Why) -> str:
    return "\n".join(f"{link.what}: {link.because}" for link in answer.chain)


def asked(world: World, person: str, event: str) -> str:
    return words(why_not(event, person, database=world.database, environment=ENVIRONMENT))


# --- why -----------------------------------------------------------------------------------------


def test_the_chain_of_a_sent_message_goes_from_the_event_to_the_provider(world: World) -> None:
    event = world.event(id="comment-1")
    notification = world.notification(event, finished_at=NOON)
    world.step(notification, "task", "run", finished_at=NOON + timedelta(seconds=2))
    world.step(notification, "comments.email", "email", finished_at=NOON)
    message = world.sent(notification)

    assert chain(world, message) == [
        ("event task/commented", f"id comment-1, uid {event.uid}"),
        ("matched with people", "workflows that listen to it were asked"),
        (f"notification {notification[:8]}", f"{DIGEST} concerns ada"),
        ("step task (run)", "completed after 2 s"),
        (f"email {message[:8]} decided", "address ✓ workflow ✓ person ✓ integration ✓ template ✓ hours ✓ budget ✓"),
        ("call 1 to smtp", "accepted after 0.25 s"),
        ("email sent", "the provider took it"),
        ("notification completed", ""),
    ]


def test_a_message_tells_of_itself_and_a_notification_of_all(world: World) -> None:
    carrier = world.three_in_a_digest()[0]

    whole = [what for what, _ in chain(world, carrier)]
    assert {"in_app delivered", "email sent"} <= set(whole)
    in_app = world.message(carrier, "push", "skipped", reason="missing_address")
    assert "email sent" not in [what for what, _ in chain(world, in_app)]


def test_the_gate_that_was_closed_is_shown_with_those_before_it(world: World) -> None:
    message = world.told(status="skipped", reason="opted_out")

    [because] = [because for what, because in chain(world, message) if what.endswith("skipped")]
    assert because == (
        "address ✓ workflow ✓ person ✗, the person switched this channel off for this workflow (opted_out)"
    )


def test_a_digest_shows_what_it_collected_and_who_carried_it(world: World) -> None:
    carrier, _, merged = world.three_in_a_digest()
    window = world.window(carrier)[:8]

    told = chain(world, carrier)
    assert ("step burst (digest)", "completed after 20 min") in told
    assert [what for what, _ in told].count(f"digest {window} collected") == 3
    assert (f"digest {window} closed", f"3 events, carried by notification {carrier[:8]}") in told
    of_merged = chain(world, merged)
    assert ("notification merged", "its event is told by the digest's carrier (merged_into_digest)") in of_merged
    assert "email sent" in [what for what, _ in of_merged]


def test_calls_are_shown_with_what_became_of_them(world: World) -> None:
    later = NOON + minutes(2)
    message = world.told(next_attempt_at=later, error="451 busy")
    world.attempts(message, "retry", None)

    told = chain(world, message)
    assert ("call 1 to smtp", "retry after 0.25 s") in told
    assert ("call 2 to smtp", "no answer yet") in told
    assert ("email queued", "451 busy") in told


def test_what_the_person_did_comes_last_of_a_message(world: World) -> None:
    message = world.told(channel="in_app", status="delivered", delivered_at=NOON)
    world.now = NOON + minutes(3)
    world.read_message(message)

    assert [what for what, _ in chain(world, message)][-4:-1] == ["in_app delivered", "in_app seen", "in_app read"]


def test_a_failed_notification_tells_its_error(world: World) -> None:
    error = {"name": "KeyError", "message": "taskUrl"}
    failed = world.notification(world.event(), status="failed", reason="invalid_payload", error=error, finished_at=NOON)

    assert chain(world, failed)[-1] == (
        "notification failed",
        "the event lacks what the workflow needs (invalid_payload): taskUrl",
    )


def test_a_sleeper_says_until_when(world: World) -> None:
    until = NOON + minutes(90)
    sleeper = world.notification(world.event(), status="waiting", wake_at=until)
    world.step(sleeper, "day-before", "sleep", state="delayed", value={"slept": True, "until": until.isoformat()})

    answer = why(sleeper, database=world.database, environment=ENVIRONMENT)
    assert (answer.chain[-1].what, answer.chain[-1].when) == ("notification waiting", until)
    assert "delayed until 2026-10-12T13:30:00+00:00" in words(answer)


# --- why not -------------------------------------------------------------------------------------


def test_an_event_that_concerned_nobody_says_so(world: World) -> None:
    event = world.event(id="comment-7")
    world.omit(event, reason="only_own_comment")

    assert "comment-digest told nobody: only own comment" in asked(world, "ada", "comment-7")


def test_an_event_that_concerned_others_says_so(world: World) -> None:
    event = world.event()
    world.notification(event, "bob")
    world.notification(event, "cleo")

    assert "comment-digest passed ada over: it concerned 2 other people" in asked(world, "ada", event.uid)


def test_an_event_that_did_reach_the_person_shows_their_chain(world: World) -> None:
    event = world.event()
    world.message(world.notification(event), status="skipped", reason="opted_out_of_all")
    world.notification(event, "bob")

    told = asked(world, "ada", event.uid)
    assert "opted_out_of_all" in told
    assert "passed" not in told


def test_an_event_not_matched_yet_says_so(world: World) -> None:
    event = world.event(matched=False)

    assert "not matched yet: it waits for its time, or for a worker" in asked(world, "ada", event.uid)


def test_an_unknown_event_is_not_found(world: World) -> None:
    with pytest.raises(NotFound, match="No event 'comment-9' is known"):
        asked(world, "ada", "comment-9")


def test_the_chain_fits_and_is_ready_for_json(world: World) -> None:
    answer = why(world.three_in_a_digest()[0], database=world.database, environment=ENVIRONMENT)
    console = Console(width=present.WIDTH, record=True, file=StringIO())

    console.print(present.why_text(answer))

    assert max(len(line) for line in console.export_text().splitlines()) <= present.WIDTH
    made = orjson.loads(orjson.dumps(present.why_json(answer)))
    assert made["chain"][0]["when"] == "2026-10-12T12:00:00.000000Z"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.1234, "0.123 s"), (59, "59 s"), (900, "15 min"), (5 * 3600, "5 h"), (76 * 3600, "3 d 4 h")],
)
def test_lengths_are_spoken(seconds: float, text: str) -> None:
    assert spoken(seconds) == text


def test_a_reason_of_an_author_speaks_for_itself() -> None:
    assert reasons.sentence("too_late") == "too late"
    assert reasons.sentence(None) == ""


# --- a day ---------------------------------------------------------------------------------------


def told(world: World, day: date | None = None) -> Day:
    with clock.use(clock.Frozen(NOON)):
        return story.load("ada", day, database=world.database, environment=ENVIRONMENT)


def lines(day: Day) -> list[tuple[str, str]]:
    return [(f"{line.at:%H:%M}", line.text) for line in day.lines]


def test_a_day_is_told_in_the_persons_zone_with_reasons(world: World) -> None:
    world.people([{"id": "ada", "email": "a@example.test", "timezone": "America/New_York"}])
    carrier = world.three_in_a_digest()[0]
    inbox = world.message(
        carrier, "in_app", "delivered", step="again.in_app", delivered_at=world.now, content=content("3 comments")
    )
    world.message(carrier, "push", "skipped", reason="missing_address")
    world.now = NOON + minutes(45)
    world.read_message(inbox)

    day = told(world)
    assert (day.person, day.zone, day.day) == ("ada", "America/New_York", date(2026, 10, 12))
    assert lines(day)[0] == ("08:00", "comment-digest begins to collect about T1")
    assert ("08:20", "comment-digest tells 3 events at once about T1") in lines(day)
    assert ("08:20", "in_app from comment-digest: 3 comments") in lines(day)
    no_push = "no push from comment-digest: the person has no address for this channel (missing_address)"
    assert ("08:20", no_push) in lines(day)
    assert lines(day)[-1] == ("08:45", "reads 3 comments")


def test_a_notification_that_told_something_told_nothing_more(world: World) -> None:
    asked = world.notification(world.event(subject="T9"), workflow="escalation", reason="read", finished_at=NOON)
    world.message(asked, "in_app", "delivered", delivered_at=NOON)

    assert "escalation about T9 told nothing more: read" in [text for _, text in lines(told(world))]


def test_a_notification_that_told_nothing_says_why(world: World) -> None:
    event = world.event(subject="T9")
    world.notification(event, workflow="deadline-reminder", reason="too_late", finished_at=NOON)
    ended = {"status": "cancelled", "reason": "reassigned", "finished_at": NOON + minutes(1)}
    world.notification(event, workflow="deadline-urgent", **ended)

    assert [text for _, text in lines(told(world))] == [
        "deadline-reminder about T9 told nothing: too late",
        "deadline-urgent about T9 cancelled: reassigned",
    ]


def test_a_day_ends_at_the_persons_own_midnight(world: World) -> None:
    world.people([{"id": "ada", "timezone": "Australia/Sydney"}])  # UTC+11 in October
    for hour in (12, 13):
        at = datetime(2026, 10, 12, hour, 30, tzinfo=UTC)
        world.told(workflow=f"w-{hour}", status="sent", created_at=at, sent_at=at)

    assert [at for at, _ in lines(told(world, date(2026, 10, 12)))] == ["23:30"]
    assert [at for at, _ in lines(told(world, date(2026, 10, 13)))] == ["00:30"]


def test_an_hour_that_comes_twice_is_told_in_order(world: World) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    for minute in (40, 10, 70):
        at = datetime(2026, 10, 25, 0, 0, tzinfo=UTC) + minutes(minute)
        world.told(workflow=f"w-{minute}", status="sent", created_at=at, sent_at=at)
    with world.database.read() as connection:
        rows = list(connection.execute(tables.messages.select()))

    assert [f"{line.at:%H:%M}" for line in story.story([], rows, berlin)] == ["02:10", "02:40", "02:10"]


def test_nothing_happened_is_a_story_too(world: World) -> None:
    day = told(world)
    console = Console(width=present.WIDTH, record=True, file=StringIO())

    console.print(present.story_text(day))

    assert console.export_text().splitlines() == ["ada, 2026-10-12 (UTC)", "nothing happened"]
    assert present.story_json(day)["lines"] == []
