"""When to try again, and how wide and how called an alarm is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

#: Retries wait 1 s, 2 s, 4 s … (factor 2, least wait 1 s), an hour at most.
_FIRST_RETRY = timedelta(seconds=1)
_LONGEST_RETRY = timedelta(hours=1)


def retry_at(tries: int, now: datetime) -> datetime:
    """When to try again after `tries` failures."""
    return now + min(_FIRST_RETRY * 2 ** min(tries - 1, 20), _LONGEST_RETRY)


#: The longest stretch an alarm covers.
WIDEST = timedelta(hours=1)


def alarm_bucket(instant: datetime, now: datetime) -> datetime:
    """The end of the stretch an alarm covers: a second within the hour, a minute within the day, an hour beyond."""
    ahead = (instant - now).total_seconds()
    width = 1 if ahead <= 3600 else 60 if ahead <= 86400 else 3600
    return datetime.fromtimestamp(-(-instant.timestamp() // width) * width, UTC)


def spoken(instant: datetime, now: datetime) -> str:
    """The instant as an operator reads it: `2 Jan 09:00 UTC`, with seconds within the hour."""
    near = abs(instant - now) <= timedelta(hours=1)
    return f"{instant:%-d %b %H:%M:%S} UTC" if near else f"{instant:%-d %b %H:%M} UTC"
