"""What a failing rehearsal says: what was sent, and why the rest was not."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from notify.model import Channel, Outcome, OutcomeKind
from notify.testing import Rehearsal, rehearsal
from tests.contracts.rehearsing_world import MONDAY, write
from tests.house.source import ROOT


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("flows"))


@pytest.fixture
def r(flows: Path) -> Iterator[Rehearsal]:
    with rehearsal(MONDAY, flows=flows) as opened:
        yield opened


def test_nothing_at_all(r: Rehearsal) -> None:
    assert r.explain() == "It is Mon 2 Mar 2026 09:00 in Europe/Rome.\nNothing was sent."


def test_what_was_sent_is_told_with_the_time_of_the_persons_own_clock(r: Rehearsal) -> None:
    r.person("cy", timezone="Asia/Kolkata")

    r.trigger("now", to=["ana", "cy"])

    assert r.explain().splitlines()[1:] == [
        "Sent:",
        "  ana  Mon 2 Mar 09:00  email  now: first",
        "  ana  Mon 2 Mar 09:00  in_app  now: all",
        "  ana  Mon 2 Mar 09:00  email  now: all",
        "  ana  Mon 2 Mar 09:00  push  now: all",
        "  cy   Mon 2 Mar 13:30 Asia/Kolkata  email  now: first",
        "  cy   Mon 2 Mar 13:30 Asia/Kolkata  in_app  now: all",
        "  cy   Mon 2 Mar 13:30 Asia/Kolkata  email  now: all",
        "  cy   Mon 2 Mar 13:30 Asia/Kolkata  push  now: all",
    ]


def untold(r: Rehearsal) -> list[str]:
    """What stands below `Not sent:`."""
    lines = r.explain().splitlines()
    return [line.strip() for line in lines[lines.index("Not sent:") + 1 :]]


def test_whoever_waits_and_what_collects(r: Rehearsal) -> None:
    r.emit("it/began", {"who": "ana", "id": 1})
    r.emit("it/repeated", {"who": "ana"})
    r.emit("it/repeated", {"who": "ana"})
    r.emit("it/repeated", {"who": "ana"}, ts="2026-03-03 12:00")

    assert untold(r) == [
        "it/repeated: waits for its own time, Tue 3 Mar 12:00",
        "ana  burst: collects, 2 events so far, until Mon 2 Mar 09:15",
        "ana  daily: collects, 2 events so far, until Mon 2 Mar 09:10",
        "ana  later: waits until Mon 2 Mar 10:00 (an-hour)",
    ]


def test_choices_addresses_and_reasons_of_the_authors_own(r: Rehearsal) -> None:
    r.person("ana", push=None)
    r.prefer("ana", "now", "email", False)
    r.trigger("now", to="ana")
    r.emit("it/skipped", {"who": "ana"})

    assert untold(r) == [
        "ana  skips: not today",
        "ana  now email (first): skipped, the person switched this channel off for this workflow (opted_out)",
        "ana  now email (all): skipped, the person switched this channel off for this workflow (opted_out)",
        "ana  now push (all): skipped, the person has no address for this channel (missing_address)",
    ]


def test_the_year_is_told_where_it_is_another(flows: Path) -> None:
    with rehearsal("2026-12-31 23:30 Europe/Rome", flows=flows) as r:
        r.emit("it/began", {"who": "ana", "id": 1})

        assert untold(r) == ["ana  later: waits until Fri 1 Jan 2027 00:30 (an-hour)"]


def test_nobody_a_cancelling_and_an_event_that_is_only_declared(r: Rehearsal) -> None:
    r.emit("it/began", {"who": "ana", "id": 1})
    r.emit("it/happened", {"who": []})
    r.emit("it/ended", {"id": 1})
    r.emit("it/noted")
    r.emit("it/noted")

    assert untold(r) == [
        "nobody  now, on it/happened: it concerned nobody (no_recipient)",
        "nobody  it/ended: no workflow listens to this event (no_workflow)",
        "nobody  it/noted: no workflow listens to this event (no_workflow), 2 times",
        "ana     later: cancelled, ended",
    ]


def broke(r: Rehearsal) -> str:
    """Where the workflow `breaks` raises."""
    file = r.engine.registry.folder / "flows.py"
    line = next(line for line, text in enumerate(file.read_text().splitlines(), 1) if "it broke" in text)
    return f"{file.parent.name}/{file.name}, line {line}"


def test_errors_of_the_authors_and_of_providers(r: Rehearsal) -> None:
    r.providers[Channel.PUSH].script = lambda _: Outcome(OutcomeKind.RETRY, detail="busy")
    r.providers[Channel.EMAIL].script = lambda _: Outcome(OutcomeKind.REJECTED, detail="no such address")
    r.emit("it/broke", {"who": "ana"})
    r.trigger("now", to="ana")

    assert untold(r) == [
        f"ana  breaks: failed: ValueError it broke ({broke(r)})",
        "ana  now email (first): failed, no such address",
        "ana  now email (all): failed, no such address",
        "ana  now push (all): queued, busy; the next try is Mon 2 Mar 09:00:10",
    ]


def test_an_error_that_is_tried_again_is_told_meanwhile(tmp_path: Path) -> None:
    flows = write(tmp_path)
    file = flows / "flows.py"
    file.write_text(file.read_text().replace("retries=0", "retries=1"))
    with rehearsal(MONDAY, flows=flows) as r:
        r.emit("it/broke", {"who": "ana"})

        again = "waits until Mon 2 Mar 09:00:01 to be tried again"
        assert untold(r) == [f"ana  breaks: raised ValueError it broke ({broke(r)}), and {again}"]


def test_of_very_many_lines_the_last_are_counted(r: Rehearsal) -> None:
    r.emit("it/began", {"who": [f"p{number:02}" for number in range(33)], "id": 1})

    assert untold(r)[-2:] == ["p29  later: waits until Mon 2 Mar 10:00 (an-hour)", "… and 3 more"]


# --- under a test that fails ----------------------------------------------------------------------


@pytest.mark.parametrize("fail", [lambda r: r.sent("ana")[0], lambda r: pytest.fail("not so")])
def test_a_failure_in_the_block_carries_it_whatever_runs_the_test(flows: Path, fail: Callable[..., object]) -> None:
    def fails() -> None:
        with rehearsal(MONDAY, flows=flows) as r:
            r.emit("it/began", {"who": "ana", "id": 1})
            fail(r)

    with pytest.raises((IndexError, pytest.fail.Exception)) as failed:
        fails()

    (note,) = failed.value.__notes__
    assert "Nothing was sent." in note
    assert "later: waits until Mon 2 Mar 10:00" in note


_PROJECT = """
def test_it_is_told(rehearsal):
    r = rehearsal("2026-03-02 09:00 Europe/Rome")
    r.emit("it/began", {"who": "ana", "id": 1})
    r.advance("1h")
    assert r.sent("ana").subjects == ["hour", "two"]


def test_it_is_told_in_time(rehearsal):
    r = rehearsal("2026-03-02 09:00 Europe/Rome")
    r.emit("it/began", {"who": "ana", "id": 1})
    assert r.advance("2h") and r.sent("ana").subjects == ["hour", "two"]


def test_it_says_no_itself(rehearsal):
    import pytest

    rehearsal("2026-03-02 09:00 Europe/Rome").emit("it/began", {"who": "bob", "id": 1})
    pytest.fail("not so")
"""


def run(folder: Path, *options: str) -> str:
    """What pytest prints in a project of its own, with the plugin as its entry point would load it."""
    plugin = ("-p", "no:notify", "-p", "notify.testing.plugin", "-p", "no:cacheprovider")
    command = [sys.executable, "-m", "pytest", *plugin, "-q", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout


def test_the_fixture_reads_the_folder_named_and_a_failing_test_says_why(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    write(tmp_path / "mine")
    (tmp_path / "pytest.ini").write_text("[pytest]\nnotify_flows = mine\n")
    (tmp_path / "test_it.py").write_text(_PROJECT)

    said = run(tmp_path)

    assert "2 failed, 1 passed" in said
    assert "bob  later: waits until Mon 2 Mar 10:00 (an-hour)" in said
    assert "E         ana  Mon 2 Mar 10:00  email  later: hour" in said
    assert "E         ana  later: waits until Mon 2 Mar 11:00 (another)" in said


def test_without_a_folder_the_fixture_says_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(_PROJECT)

    said = run(tmp_path)

    assert f"flows: there is no folder {tmp_path}/flows. Give `flows`" in said
    assert "`notify_flows` in pytest's configuration" in said


def test_pytest_finds_the_plugin_by_itself_where_notify_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["entry-points"]["pytest11"] == {"notify": "notify.testing.plugin"}


def test_pytest_starts_without_what_only_a_rehearsal_needs() -> None:
    question = "import sys, notify.testing.plugin; print([n for n in {!r} if n in sys.modules])"
    heavy = ("sqlalchemy", "pandas", "prefect", "jinja2", "aiohttp", "alembic", "psycopg")

    command = [sys.executable, "-c", question.format(heavy)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (answer.stdout.strip(), answer.stderr) == ("[]", "")
