"""`notify demo` as a stranger meets it: one command, one screen, and nothing left behind."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import sqlalchemy as sa

from notify.store.database import Database
from notify.store.tables import events, messages, notifications

#: Seconds, of which a demo may take ninety; a machine with other work to do may take longer.
DEADLINE = 240
LINES, COLUMNS = 40, 100
REMINDERS = ("deadline-reminder", "deadline-urgent")
#: What the sample's day comes to, whichever database it is kept in: (channel, status) → messages.
DELIVERED = {
    ("email", "sent"): 42,
    ("email", "skipped"): 12,
    ("in_app", "delivered"): 54,
    ("push", "sent"): 21,
    ("push", "skipped"): 7,
}
_N, _M = notifications.c, messages.c


@dataclass(frozen=True)
class Ended:
    """A demo that has ended: its home, its database, and what it printed."""

    home: Path
    url: str
    code: int
    screen: str
    complaints: str

    def rows(self, query: sa.Select[Any]) -> Sequence[Any]:
        """What its database says."""
        database = Database(self.url)
        with database.read() as connection:
            found = connection.execute(query).all()
        database.close()
        return found

    @property
    def lines(self) -> list[str]:
        return self.screen.splitlines()

    @property
    def commands(self) -> list[str]:
        """The commands it proposes, as printed."""
        return [line.strip() for line in self.lines[self.lines.index("Next:") + 1 :]]


def _environment(home: Path, url: str) -> dict[str, str]:
    """What a fresh terminal would have, and our home and database."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NOTIFY_", "PREFECT_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
    return kept | {"PATH": path, "NOTIFY_HOME": str(home), "NOTIFY_DATABASE_URL": url}


def _notify(home: Path, url: str, *words: str) -> Ended:
    done = subprocess.run(
        ["notify", *words],
        cwd=home.parent,
        env=_environment(home, url),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    return Ended(home, url, done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def make_demo(
    tmp_path_factory: pytest.TempPathFactory, known_to_prefect: Callable[[Path], Path]
) -> Callable[[str], Ended]:
    """Each kind of database gets one demo, for all tests."""
    made: dict[str, Ended] = {}

    def run(url: str) -> Ended:
        home = known_to_prefect(tmp_path_factory.mktemp("demo") / ".notify")
        made[url] = _notify(home, url or f"sqlite:///{home / 'notify.db'}", "demo")
        return made[url]

    return lambda url: made.get(url) or run(url)


@pytest.fixture
def demo(make_demo: Callable[[str], Ended]) -> Ended:
    """The demo on SQLite, run once."""
    return make_demo("")


def _per_channel(demo: Ended) -> Mapping[tuple[str, str], int]:
    query = sa.select(_M.channel, _M.status, sa.func.count()).group_by(_M.channel, _M.status)
    return {(channel, status): count for channel, status, count in demo.rows(query)}


def _reminders(demo: Ended) -> Counter[tuple[str, str]]:
    """How reminders ended: (workflow, reason or `sent`) → people."""
    query = sa.select(_N.workflow, _N.reason).where(_N.workflow.in_(REMINDERS), _N.finished_at.is_not(None))
    return Counter((workflow, reason or "sent") for workflow, reason in demo.rows(query))


def test_it_ends_well_with_nothing_but_its_screen(demo: Ended) -> None:
    assert (demo.code, demo.complaints) == (0, "")
    assert re.match(r"\d+ events became messages", demo.lines[0])


def test_its_screen_fits_a_small_terminal(demo: Ended) -> None:
    assert len(demo.lines) <= LINES
    assert [line for line in demo.lines if len(line) > COLUMNS] == []


def test_it_tells_one_persons_day_with_reasons(demo: Ended) -> None:
    [start] = [number for number, line in enumerate(demo.lines) if re.fullmatch(r"\w+'s day, in [\w/]+", line)]
    end = next(number for number, line in enumerate(demo.lines) if line.startswith("channel "))
    story = demo.lines[start + 1 : end]

    assert len(story) >= 5
    assert all(re.match(r"  (\d\d:\d\d:\d\d|… and) ", line) for line in story), story
    assert any(re.search(r"  no \w+ from [\w-]+: ", line) for line in story)


def test_its_table_shows_what_the_database_holds(demo: Ended) -> None:
    counted = _per_channel(demo)
    shown = {line.split()[0]: line.split() for line in demo.lines if re.match(r"(email|in_app|push|all) +\d", line)}

    assert counted == DELIVERED
    for channel in ("email", "in_app", "push"):
        total = sum(count for (of, _), count in counted.items() if of == channel)
        assert shown[channel][1:6] == [
            str(total),
            *(str(counted.get((channel, status), 0)) for status in ("delivered", "sent", "failed", "skipped")),
        ]
    assert shown["all"][1] == str(sum(counted.values()))
    assert "accepted_rate is" in demo.screen


def test_reminders_of_both_kinds_are_sent(demo: Ended) -> None:
    ended = _reminders(demo)

    assert {workflow for workflow in REMINDERS if ended[workflow, "sent"]} == set(REMINDERS), ended


@pytest.mark.parametrize("reason", ["completed", "reassigned", "moved", "too_late"])
def test_a_reminder_ends_as(reason: str, demo: Ended) -> None:
    ended = _reminders(demo)
    count = sum(ended[workflow, reason] for workflow in REMINDERS)

    assert count >= 1, ended
    assert f"{count} {reason}" in " ".join(demo.screen.split())


def test_what_waits_is_shown_by_its_scheduled_flow_run(demo: Ended) -> None:
    start = demo.lines.index("Still waiting, each as a scheduled flow run:") + 1
    waiting = demo.lines[start : demo.lines.index("Next:")]

    assert [re.sub(r" · until .*", "", line.strip()) for line in waiting] == list(REMINDERS)
    assert all(re.search(r"\(in \d+ min\)$", line) for line in waiting)


def test_the_commands_it_proposes_work_as_printed(demo: Ended) -> None:
    why, log, dev = map(shlex.split, demo.commands)

    reasons = _notify(demo.home, demo.url, *why[1:])
    rows = _notify(demo.home, demo.url, *log[1:])

    assert (why[:2], log[:2], dev) == (["notify", "why"], ["notify", "log"], ["notify", "dev"])
    assert (reasons.code, reasons.complaints) == (0, "")
    assert why[2][:8] in reasons.screen
    assert (rows.code, rows.complaints) == (0, "")
    assert len([line for line in rows.lines if log[3] in line]) == 10


def test_nothing_runs_or_listens_when_it_has_ended(demo: Ended) -> None:
    ours = [process.info["pid"] for process in psutil.process_iter(["pid", "environ"]) if _is_of(process, demo.home)]

    assert ours == []
    assert not (demo.home / "prefect.json").exists()


def _is_of(process: psutil.Process, home: Path) -> bool:
    return (process.info["environ"] or {}).get("NOTIFY_HOME") == str(home)


def test_what_was_sent_lies_in_files(demo: Ended) -> None:
    sent = demo.home / "sent"

    assert len(list(sent.rglob("*.eml"))) == DELIVERED["email", "sent"]
    assert len(list(sent.rglob("*.json"))) >= 1


@pytest.mark.long
def test_a_second_time_in_the_same_folder_accepts_nothing_and_goes_on(demo: Ended) -> None:
    of_the_day = sa.select(sa.func.count()).select_from(events).where(events.c.verdict == "accepted")
    before = demo.rows(of_the_day), _per_channel(demo)

    again = _notify(demo.home, demo.url, "demo")

    assert (again.code, again.complaints) == (0, "")
    assert (again.rows(of_the_day), _per_channel(again)) == before
