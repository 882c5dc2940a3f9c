"""Lives of digests that a cron deployment closes, or that follow one another, drawn at random; see the other file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.digests.lives import hold_all
from tests.faults.digests.modes import MODES


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_every_event_is_told_once_in_its_window_and_in_time(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    modes = [id_ for id_, mode in MODES.items() if mode.calendar or mode.second is not None]
    seen = hold_all(request, tmp_path, kind, modes, 39 if kind == "sqlite" else 2)

    if kind == "sqlite":
        assert min(seen["ticks"] // 4, seen["crashes"], seen["jumps of a day"], seen["withdrawn"]) >= 30
        assert seen["windows drawn"] > 0.8 * seen["windows"] > 200
