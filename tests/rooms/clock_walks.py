"""Minutes walked one by one over changes of the clocks: what the wall shows, and what of it was not shown before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
#: Where clocks change, and when in UTC.
CHANGES = [
    ("Europe/Rome", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ("Europe/Rome", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    ("America/Santiago", datetime(2026, 4, 5, 3, tzinfo=UTC)),
    ("America/Santiago", datetime(2026, 9, 6, 4, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),
    ("Asia/Kolkata", datetime(2026, 1, 15, 12, tzinfo=UTC)),
]

Matches = Callable[[datetime], bool]


@dataclass(frozen=True)
class Walk:
    """Two days around a change, minute by minute."""

    zone: str
    change: datetime

    def __str__(self) -> str:
        return f"{self.zone} {self.change:%b %Y}"

    @property
    def start(self) -> datetime:
        return self.change - timedelta(days=1)

    @property
    def end(self) -> datetime:
        return self.change + timedelta(days=1)

    def minutes(self) -> Iterator[tuple[datetime, datetime]]:
        """Each minute as an instant and as the wall shows it, from some days before the start on."""
        local, instant = ZoneInfo(self.zone), self.start - timedelta(days=2)
        while instant <= self.end:
            yield instant, instant.astimezone(local).replace(tzinfo=None)
            instant += MINUTE

    def named(self, matches: Matches) -> list[datetime]:
        """When the wall first shows, or has passed over, a time that matches."""
        found: list[datetime] = []
        latest: datetime | None = None
        for instant, wall in self.minutes():
            shown = wall if latest is None else latest + MINUTE
            fires = False
            while shown <= wall:
                fires = matches(shown) or fires
                shown += MINUTE
            latest = max(wall, latest or wall)
            if fires and self._within(instant):
                found.append(instant)
        return found

    def shown(self, matches: Matches) -> list[datetime]:
        """Whenever the wall shows a time that matches."""
        return [instant for instant, wall in self.minutes() if matches(wall) and self._within(instant)]

    def opened(self, stretches: Sequence[tuple[datetime, datetime]]) -> list[datetime]:
        """The minutes from when a stretch's start is first reached until its end is reached for good."""
        walked = list(self.minutes())
        found: set[datetime] = set()
        for begin, end in stretches:
            reached = next((instant for instant, wall in walked if wall >= begin), self.end + MINUTE)
            left = next((instant + MINUTE for instant, wall in reversed(walked) if wall < end), reached)
            found |= {instant for instant, _ in walked if reached <= instant < left and self._within(instant)}
        return sorted(found)

    def _within(self, instant: datetime) -> bool:
        return self.start < instant <= self.end


WALKS = [Walk(*change) for change in CHANGES]
