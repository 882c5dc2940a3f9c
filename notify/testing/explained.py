"""A rehearsal in words: what was sent, and why the rest was not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from notify import errors
from notify.model import NotificationStatus, Verdict
from notify.reports import reasons
from notify.store.told import Everything
from notify.testing.sent import TOLD, Message, Order, Sent, step_of
from notify.timing import zone

#: Lines of each kind that are shown; the others are counted.
SHOWN = 30
_LONGEST = 70
_FRAME = re.compile(r'File "(.+?)", line (\d+)')
#: What the system itself says happened, where nobody listens, is told by what it is about.
_OURS = "notify/"
#: A line: whom it concerns, and what is said about them.
Line = tuple[str, str]


def explained(found: Everything, sent: Sent, now: datetime, home: str, flows: Path) -> str:
    """Several lines for people. Times are those of the person's own clock; `home` is the zone of the rehearsal.

    Where an author's code raised, the line is the last one in the folder `flows`.
    """
    told = [
        (one.person, f"{clock(one.at, home, now)}  {one.channel}  {one.workflow}: {shortened(one)}") for one in sent
    ]
    untold = [_times(line, count) for line, count in Counter(_Untold(found, home, flows, now).lines()).items()]
    lines = [f"It is {now.astimezone(zone(home)):%a %-d %b %Y %H:%M} in {home}."]
    lines += ["Sent:", *_column(told)] if told else ["Nothing was sent."]
    lines += ["Not sent:", *_column(untold)] if untold else []
    return "\n".join(lines)


def clock(at: datetime, home: str, now: datetime) -> str:
    """`Mon 30 Mar 09:00`, with the year where it is not this one and the zone where it is not the rehearsal's."""
    year = "" if at.year == now.astimezone(zone(home)).year else f" {at.year}"
    seconds = f":{at:%S}" if at.second else ""
    elsewhere = "" if str(at.tzinfo) == home else f" {at.tzinfo}"
    return f"{at:%a %-d %b}{year} {at:%H:%M}{seconds}{elsewhere}"


def shortened(message: Message) -> str:
    """What the message is called, on one line that is not too long."""
    title = message.title
    return title if len(title) <= _LONGEST else f"{title[: _LONGEST - 1]}…"


def _times(line: Line, count: int) -> Line:
    who, what = line
    return line if count == 1 else (who, f"{what}, {count} times")


def _column(lines: Sequence[Line]) -> list[str]:
    width = max(len(who) for who, _ in lines)
    more = [f"  … and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return [f"  {who:{width}}  {what}" for who, what in lines[:SHOWN]] + more


def _raised(error: Mapping[str, str], flows: Path) -> str:
    """An error of ours says what to do; of another one its class and its line are told, too."""
    known = getattr(errors, error["name"], None)
    if isinstance(known, type) and issubclass(known, errors.NotifyError):
        return error["message"]
    lines = [(Path(file), line) for file, line in _FRAME.findall(error.get("stack", ""))]
    mine = [f" ({file.relative_to(flows.parent)}, line {line})" for file, line in lines if file.is_relative_to(flows)]
    return f"{error['name']} {error['message']}{mine[-1] if mine else ''}"


class _Untold:
    """What did not become a message, or has not yet."""

    def __init__(self, found: Everything, home: str, flows: Path, now: datetime) -> None:
        self.found = found
        self.home = home
        self.flows = flows
        self.now = now
        self.events = {row.uid: row for row in found.events}
        self.windows = {row.id: row for row in found.windows}
        self.delayed = {row.notification: row for row in found.delayed}

    def lines(self) -> Iterator[Line]:
        """In the order of what it is about."""
        for event in self.found.events:
            if event.matched_at is None:
                at = clock(event.ts.astimezone(zone(self.home)), self.home, self.now)
                yield "", f"{event.name}: waits for its own time, {at}"
            elif event.verdict == Verdict.CANCELLED:
                yield "", f"{event.name}: withdrawn before its time came"
        for row in self.found.omissions:
            if not self.events[row.event].name.startswith(_OURS):
                yield "nobody", self._omitted(row)
        yield from self._collecting()
        order = Order(self.found)
        for row in sorted(self.found.notifications, key=lambda row: order.of(row.id)):
            if said := self._of_notification(row):
                yield row.subscriber, f"{row.workflow}: {said}"
        for row in sorted(self.found.messages, key=order.of_message):
            if row.status not in TOLD:
                yield row.subscriber, f"{row.workflow} {row.channel} ({step_of(row)}): {self._of_message(row)}"

    def _omitted(self, row: Any) -> str:
        detail = f": {row.detail}" if row.detail else ""
        event = self.events[row.event].name
        about = f"{row.workflow}, on {event}" if row.workflow not in ("", event) else event
        return f"{about}: {reasons.sentence(row.reason)}{detail}"

    def _collecting(self) -> Iterator[Line]:
        waiting = Counter(
            row.window for row in self.found.notifications if row.status == NotificationStatus.WAITING and row.window
        )
        for row in self.found.windows:
            events = "1 event" if waiting[row.id] == 1 else f"{waiting[row.id]} events"
            yield row.subscriber, f"{row.workflow}: collects, {events} so far, until {self._at(row, row.closes_at)}"

    def _of_notification(self, row: Any) -> str:
        if row.status in (NotificationStatus.READY, NotificationStatus.RUNNING):
            return "not worked on yet; `settle` does it"
        if row.status == NotificationStatus.WAITING:
            return "" if row.window in self.windows else self._waiting(row)
        if row.status == NotificationStatus.COMPLETED:
            return reasons.sentence(row.reason)
        if row.status == NotificationStatus.MERGED:
            return ""
        if row.error:
            return f"{row.status}: {_raised(row.error, self.flows)}"
        return ", ".join(filter(None, [str(row.status), reasons.sentence(row.reason)]))

    def _waiting(self, row: Any) -> str:
        step = self.delayed.get(row.id)
        until = f"until {self._at(row, row.wake_at)}" if row.wake_at else "for what is to happen"
        if row.tries:
            return f"raised {_raised(row.error, self.flows)}, and waits {until} to be tried again"
        if step is not None and step.error:
            return f"{step.key} failed ({step.error['message']}), and waits {until} to be tried again"
        return f"waits {until}" + (f" ({step.key})" if step is not None else "")

    def _of_message(self, row: Any) -> str:
        because = ", ".join(filter(None, [row.status, row.error or reasons.sentence(row.reason)]))
        return because + (f"; the next try is {self._at(row, row.next_attempt_at)}" if row.next_attempt_at else "")

    def _at(self, row: Any, instant: datetime) -> str:
        return clock(instant.astimezone(zone(self.found.zones.get(row.subscriber))), self.home, self.now)
