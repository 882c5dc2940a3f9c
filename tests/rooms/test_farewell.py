"""What a worker says when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from notify.engine.idle import Idle, Waiting
from notify.engine.running import farewell

SOME = [Waiting("deadline", 1200, datetime(2026, 1, 2, 9, tzinfo=UTC)), Waiting("messages to try again", 1, None)]
LINES = "\n  deadline: 1,200 waiting, the first until 2 Jan 2026 09:00 UTC\n  messages to try again: 1 waiting"


@pytest.mark.parametrize(
    ("idle", "waiting", "said"),
    [
        (True, [], "Idle: nothing waits."),
        (True, SOME, f"Idle. Still waiting:{LINES}"),
        (False, [], "Stopped before all was done."),
        (False, SOME, f"Stopped before all was done. Still waiting:{LINES}"),
    ],
)
def test_it_is_idle_only_where_nothing_is_left_to_do(idle: bool, waiting: Sequence[Waiting], said: str) -> None:
    assert farewell(Idle(idle, waiting)) == said
