"""Every mode of a digest, as an author writes it and as one draws it on paper."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from tests.faults.digests.paper import Calendar, Length, Rule

ZONES = {"ann": "Europe/Rome", "bob": "America/New_York", "cid": "Asia/Kolkata"}
#: How long the body that reminds waits before it looks whether the first message was read.
PATIENCE = timedelta(minutes=30)


def daily(after: datetime, person: str) -> datetime:
    """The next nine o'clock where the person lives."""
    zone = ZoneInfo(ZONES[person])
    today = after.astimezone(zone).date()
    nines = (datetime.combine(today + timedelta(days=days), time(9), zone) for days in (0, 1))
    return next(nine.astimezone(UTC) for nine in nines if nine > after)


def sixth_hour(after: datetime, person: str) -> datetime:
    """The next of 0:00, 6:00, 12:00 and 18:00 in UTC, for everybody."""
    hour = after.replace(minute=0, second=0, microsecond=0)
    return hour + timedelta(hours=6 - hour.hour % 6)


@dataclass(frozen=True)
class Mode:
    """One workflow: its digest, the body around it, and a second digest where there is one."""

    how: str
    rule: Rule
    body: str = "plain"
    second: Rule | None = None

    @property
    def calendar(self) -> bool:
        """Whether a cron deployment has to close its windows."""
        return isinstance(self.second or self.rule, Calendar)

    def apart(self, number: int) -> timedelta:
        """So much earlier, where it matters who comes first, that no two happen at one instant."""
        first_counts = isinstance(self.rule, Length) and self.rule.counts
        return timedelta(microseconds=1000 - number if first_counts else 0)


MODES = {
    "fixed": Mode("minutes=15", Length(15)),
    "fixed-full": Mode("minutes=15, capacity=3", Length(15, capacity=3)),
    "quiet": Mode('debounce="15m", max_wait="40m"', Length(15, most=40)),
    "quiet-full": Mode('debounce="15m", max_wait="40m", capacity=3', Length(15, most=40, capacity=3)),
    "lookback": Mode('minutes=15, lookback="20m"', Length(15, back=20)),
    "lookback-full": Mode('minutes=15, lookback="20m", capacity=2', Length(15, back=20, capacity=2)),
    "nine": Mode('at="09:00"', Calendar(daily)),
    "cron": Mode('cron="0 */6 * * *"', Calendar(sixth_hour)),
    "unless": Mode("minutes=15, unless=untrue", Length(15)),
    "nine-unless": Mode('at="09:00", unless=untrue', Calendar(daily)),
    "reminded": Mode("minutes=15", Length(15), "reminded"),
    "twice": Mode("minutes=15", Length(15), "twice", Length(45)),
    "quiet-nine": Mode('debounce="15m", max_wait="40m"', Length(15, most=40), "twice-nine", Calendar(daily)),
}
_PLAIN = """\
    found = await n.digest("some", key=n.payload["key"], {how})
    await n.all(n.in_app("told", found=found), n.email("told", found=found))
"""
_REMINDED = """\
    found = await n.digest("some", key=n.payload["key"], {how})
    await n.in_app("told", found=found)
    await n.sleep("while", minutes=30)
    if not await n.is_read("told", at="then"):
        await n.email("told", found=found)
"""
_TWICE = """\
    first = await n.digest("some", key=n.payload["key"], {how})
    await n.in_app("told", found=first)
    found = await n.digest("more", minutes=45)
    await n.email("told", found=found)
"""
_BODIES = {
    "plain": _PLAIN,
    "reminded": _REMINDED,
    "twice": _TWICE,
    "twice-nine": _TWICE.replace("minutes=45", 'at="09:00"'),
}
_SHARED = """\
from typing import Any

from notify.workflow import Notification, workflow

withdrawn: set[int] = set()


async def untrue(event: Any) -> str | None:
    return "untrue" if event.payload["n"] in withdrawn else None


async def whom(event: Any) -> list[str]:
    return event.data["who"]
"""
_WORKFLOW = """

@workflow("{id}", on="it/happened", to=whom)
async def {name}(n: Notification[dict[str, Any]]) -> None:
{body}"""
TEMPLATE = (
    "{% block subject %}{{ found.total }}{% endblock %}\n"
    "{% block body %}{% for one in found.events %}{{ one.payload.n }} {% endfor %}{% endblock %}\n"
)


def source() -> str:
    """The workflow file."""
    written = (
        _WORKFLOW.format(id=id_, name=id_.replace("-", "_"), body=_BODIES[mode.body].format(how=mode.how))
        for id_, mode in MODES.items()
    )
    return _SHARED + "".join(written)
