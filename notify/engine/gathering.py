"""When a page of events is matched at once, and when more are gathered for it first."""

from __future__ import annotations

from dataclasses import dataclass

#: Events that make a flood, and the seconds for which one gathers: a page is a dozen statements, however few it has.
FLOOD, GATHER = 20, 0.2


@dataclass
class Gathering:
    """A page that follows a lone event never waits; one that follows a flood which left nothing behind may fill."""

    _until: float = 0.0

    def over(self, now: float) -> bool:
        """Whether a page may be matched at `now`, in seconds of a steady clock."""
        return now >= self._until

    def after(self, matched: int, most: int, now: float) -> None:
        """The page, of at `most` so many events, had `matched` of them."""
        if FLOOD <= matched < most:
            self._until = now + GATHER
