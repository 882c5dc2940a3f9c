"""What has to come of it all: an account kept on paper beside the engine, from what it was told and when it worked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.faults.digests.modes import MODES, PATIENCE
from tests.faults.digests.paper import Calendar, Drawn, Item, Length, Rule, living, numbers

#: A digest step of a person, and the key.
Place = tuple[str, str, str]


@dataclass
class Told:
    """A window that closed, and the messages it came to: (channel, whether the person wants it, when)."""

    place: Place
    items: Sequence[Item]
    ends: datetime
    #: None where a crash left it open whether it closed then or at the next opportunity.
    closed_at: datetime | None
    messages: list[tuple[str, bool, datetime | None]] = field(default_factory=list)
    read: bool = False

    @property
    def numbers(self) -> list[int]:
        """The events it holds."""
        return sorted(numbers(self.items))


@dataclass
class Page:
    """One place: what it collects now."""

    rule: Rule
    person: str
    items: list[Item] = field(default_factory=list)
    #: When its last closed window had its last event; of a calendar, when it closed.
    seen: datetime | None = None
    #: When a calendar closes it.
    closes: datetime | None = None
    late: bool = False
    haunted: bool = False

    @property
    def vague(self) -> bool:
        """Where somebody came too late and somebody else had gone, no drawing says what has to be."""
        return self.late and self.haunted

    def add(self, item: Item, late: bool) -> None:
        """It comes now; `late` is whether the engine has looked since it happened."""
        self.items = sorted([*self.items, item], key=lambda one: (one.ts, one.order))
        self.late = self.late or late
        if isinstance(self.rule, Calendar):
            slot = self.rule.slot(max(item.ts, self.seen or item.ts), self.person)
            self.closes = min(self.closes or slot, slot)

    def over(self, now: datetime, *, tick: bool) -> Iterator[Drawn]:
        """What ended by now; a calendar digest does only by a tick."""
        if isinstance(self.rule, Length):
            drawn, self.items = self.rule.over(self.items, self.seen, now)
            for window in drawn:
                if living(window.items):
                    yield window
                    last = living(window.items)[-1].ts
                    self.seen = max(self.seen or last, last)
        elif tick and self.closes is not None and self.closes <= now:
            drawn_items, ends = self.items, self.closes
            self.items, self.closes = [], None
            if living(drawn_items):
                self.seen = now
                yield Drawn(drawn_items, ends)


class Account:
    """Everything said of one mode, and what has to come of it."""

    def __init__(self, mode: str) -> None:
        self.mode = MODES[mode]
        self.told: list[Told] = []
        self.untrue: set[int] = set()
        #: Nothing can be said exactly any more: something happened while it was open how far a dead process had come.
        self.vague = False
        self._pages: dict[Place, Page] = {}
        self._ahead: list[tuple[Item, str, str]] = []
        self._reminders: list[tuple[datetime, Told]] = []
        self._off: set[tuple[str, str, bool]] = set()
        #: When the engine last did all there was to do.
        self._looked = datetime.min.replace(tzinfo=UTC)

    def is_vague(self, place: Place) -> bool:
        """Whether this place is not to be compared; what follows from a vague one is vague too."""
        step, person, _ = place
        below = [page for (name, who, _), page in self._pages.items() if who == person and name == "some"]
        pages = [*below, self._pages[place]] if step == "more" else [self._pages[place]]
        return self.vague or any(page.vague for page in pages)

    @property
    def places(self) -> Iterable[Place]:
        """Wherever something was collected."""
        return self._pages

    # --- what is said ---------------------------------------------------------------------------

    def say(self, number: int, ts: datetime, order: str, people: Iterable[str], key: str) -> None:
        """An event, for each of these people."""
        self._ahead += [(Item(ts, order, (number,)), person, key) for person in people]

    def choose(self, person: str, channel: str, enabled: bool, everywhere: bool) -> None:
        """A person wants this channel, or not."""
        choice = (person, channel, everywhere)
        (self._off.discard if enabled else self._off.add)(choice)

    def withdraw(self, number: int) -> int:
        """Cancel an event; answers how much that ends."""
        ahead = [one for one in self._ahead if one[0].numbers == (number,)]
        self._ahead = [one for one in self._ahead if one not in ahead]
        waiting = [one for one in self._reminders if one[1].numbers == [number]]
        self._reminders = [one for one in self._reminders if one not in waiting]
        return bool(ahead) + len(waiting) + self._haunt(number)

    def _haunt(self, number: int) -> int:
        gone = 0
        for page in self._pages.values():
            for item in living(page.items):
                if item.numbers == (number,):
                    item.ghost = page.haunted = True
                    gone += 1
        return gone

    def read(self, person: str, number: int) -> None:
        """The person reads the message that tells of this event."""
        for told in self.told:
            if told.place[1] == person and number in told.numbers:
                told.read = True

    # --- what is done ---------------------------------------------------------------------------

    def settle(self, now: datetime, *, sure: bool = True) -> None:
        """The engine does all there is to do; not `sure` when it does so now or when it is next at work."""
        at = now if sure else None
        for item, person, key in [one for one in self._ahead if one[0].ts <= now]:
            self._page("some", person, key).add(item, late=item.ts < self._looked)
        self._ahead = [one for one in self._ahead if one[0].ts > now]
        self._remind(now, at)
        self._close("some", now, at, tick=False)
        self._close("more", now, at, tick=False)
        self._looked = now

    def tick(self, now: datetime) -> None:
        """The cron deployment of a digest runs: it closes what was collected until now."""
        self._close("some", now, now, tick=True)
        self._close("more", now, now, tick=True)

    def _page(self, step: str, person: str, key: str) -> Page:
        rule = self.mode.rule if step == "some" else self.mode.second
        assert rule is not None
        return self._pages.setdefault((step, person, key), Page(rule, person))

    def _close(self, step: str, now: datetime, at: datetime | None, *, tick: bool) -> None:
        for place, page in list(self._pages.items()):
            for window in page.over(now, tick=tick) if place[0] == step else ():
                self._tell(Told(place, window.items, window.ends, at), at)

    def _tell(self, told: Told, at: datetime | None) -> None:
        """What the workflow's body does with a window that closed."""
        self.told.append(told)
        step, person, _ = told.place
        if not set(told.numbers) - self.untrue:
            return
        if self.mode.second is not None:
            self._say(told, "in_app" if step == "some" else "email", at)
            if step == "some":
                first = living(told.items)[0]
                item = Item(told.ends, first.order, tuple(told.numbers))
                self._page("more", person, "").add(item, late=told.ends < self._looked)
            return
        self._say(told, "in_app", at)
        if self.mode.body == "reminded":
            assert at is not None
            self._reminders.append((at + PATIENCE, told))
        else:
            self._say(told, "email", at)

    def _remind(self, now: datetime, at: datetime | None) -> None:
        for due, told in [one for one in self._reminders if one[0] <= now]:
            self._reminders.remove((due, told))
            if not told.read:
                self._say(told, "email", at)

    def _say(self, told: Told, channel: str, at: datetime | None) -> None:
        person = told.place[1]
        wanted = not {(person, channel, True), (person, channel, False)} & self._off
        told.messages.append((channel, wanted, at))

    def next_end(self) -> datetime | None:
        """When a window that collects now will end if nothing else comes."""
        ends = [page.closes for page in self._pages.values() if page.closes is not None]
        for page in self._pages.values():
            if isinstance(page.rule, Length) and living(page.items):
                ends.append(page.rule.end(page.items))
        return min(ends, default=None)
