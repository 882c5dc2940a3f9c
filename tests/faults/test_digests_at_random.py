"""Lives of digests that collect for a length, drawn at random: every event is told once, in its window and in time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.digests.lives import hold_all
from tests.faults.digests.modes import MODES

#: What so many lives have seen at the least.
SEEN = {
    "events": 1000,
    "events in the past": 100,
    "events ahead": 200,
    "withdrawn": 80,
    "choose": 50,
    "untrue": 50,
    "read": 50,
    "jumps of a day": 30,
    "jumps to an end": 5,
    "crashes": 60,
    "crashes taken over later": 15,
    "side by side": 60,
    "windows": 600,
    "messages": 1000,
    "audits": 10,
}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_every_event_is_told_once_in_its_window_and_in_time(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    modes = [id_ for id_, mode in MODES.items() if not mode.calendar and mode.second is None]
    seen = hold_all(request, tmp_path, kind, modes, 39 if kind == "sqlite" else 2)

    if kind == "sqlite":
        assert {what: seen[what] for what, least in SEEN.items() if seen[what] < least} == {}
        assert seen["windows drawn"] > 0.8 * seen["windows"]
