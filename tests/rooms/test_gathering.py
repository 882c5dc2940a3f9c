"""A flood of events is matched in pages that are worth their statements; a lone event at once."""

from __future__ import annotations

import pytest

from notify.engine.gathering import FLOOD, GATHER, Gathering

PAGE, NOW = 1000, 50.0


@pytest.mark.parametrize(("matched", "waits"), [(0, 0.0), (FLOOD - 1, 0.0), (FLOOD, GATHER), (PAGE - 1, GATHER)])
def test_what_follows_a_flood_gathers_for_a_moment(matched: int, waits: float) -> None:
    gathering = Gathering()
    gathering.after(matched, PAGE, NOW)

    assert gathering.over(NOW + waits)
    assert gathering.over(NOW + waits / 2) is (waits == 0.0)


def test_a_full_page_left_something_behind_and_is_followed_at_once() -> None:
    gathering = Gathering()
    gathering.after(PAGE, PAGE, NOW)

    assert gathering.over(NOW)
