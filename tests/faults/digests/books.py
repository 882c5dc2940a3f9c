"""Whether the books balance once a life is over: what the store and the outside have, against what was said."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from notify.store.audit import audit
from notify.store.tables import attempts, events, messages, notifications, window_items, windows
from tests.faults.digests.account import Place
from tests.faults.digests.life import Life
from tests.faults.digests.paper import Length

_E, _N, _I, _W, _M, _A = (table.c for table in (events, notifications, window_items, windows, messages, attempts))
_MINE = sa.bindparam("environment", type_=sa.String)
_EVENTS = sa.select(_E.uid, _E.verdict).where(_E.environment == _MINE)
_NOTIFICATIONS = sa.select(_N.id, _N.event, _N.subscriber, _N.status, _N.finished_at).where(_N.environment == _MINE)
_ITEMS = sa.select(_I.notification, _I.step, _I.window, _I.event, _I.ts, _I.withdrawn_at, _I.reason).where(
    _I.environment == _MINE
)
_WINDOWS = sa.select(windows).where(_W.environment == _MINE)
_MESSAGES = sa.select(messages).where(_M.environment == _MINE)
_LOST = sa.select(_A.message).where(_A.environment == _MINE, _A.outcome == "unknown")


@dataclass(frozen=True)
class Closed:
    """A window as the store has it, with what it holds and the messages it came to."""

    row: Any
    items: Sequence[Any]
    numbers: frozenset[int]
    #: Those an `unless` left out.
    untrue: frozenset[int]
    messages: Sequence[Any]

    @property
    def place(self) -> Place:
        """The digest, the person and the key."""
        return (self.row.step, self.row.subscriber, self.row.key)


class Books:
    """Everything of one life."""

    def __init__(self, life: Life) -> None:
        self.life = life
        with life.notify.database.read() as connection:
            read = [
                connection.execute(query, {"environment": life.environment}).all()
                for query in (_EVENTS, _NOTIFICATIONS, _ITEMS, _WINDOWS, _MESSAGES, _LOST)
            ]
        self.events, self.notifications, self.items, self.windows, self.messages, lost = read
        self.lost = Counter(row.message for row in lost)
        self.number = {said.receipt.uid: said.number for said in life.said}
        self.ts = {said.number: said.ts for said in life.said}
        carriers = {(row.carrier, row.id) for row in self.windows if row.state == "closed"}
        #: Whoever carried a window did so, also when it was cancelled further on.
        self.held = [
            item for item in self.items if not item.withdrawn_at or (item.notification, item.window) in carriers
        ]
        self.closed = [self._closed(row) for row in self.windows if row.state == "closed"]

    def _closed(self, row: Any) -> Closed:
        items = sorted((item for item in self.held if item.window == row.id), key=lambda item: item.ts)
        found = list(self._events(items))
        untrue = {self.number[item.event] for item in found if item.reason and not item.withdrawn_at}
        told = [message for message in self.messages if message.window == row.id]
        return Closed(row, items, frozenset(self.number[item.event] for item in found), frozenset(untrue), told)

    def _events(self, items: Iterable[Any]) -> Iterator[Any]:
        """The first digest's items, also where these are those of the second."""
        first = {row.carrier: row.id for row in self.windows if row.step == "some"}
        for item in items:
            if item.step == "some":
                yield item
            else:
                yield from (one for one in self.held if one.window == first[item.notification])


def wrong(life: Life) -> list[str]:
    """Everything that is not as it has to be."""
    books = Books(life)
    found = [*life.wrong, *_decided(books), *_added_up(books), *_in_time(books), *_told_once(books)]
    found += [*_only_what_is_left(books), *_received(books), *_as_drawn(books)]
    life.site.seen["windows"] += len(books.closed)
    life.site.seen["messages"] += len(books.messages)
    return found + (_audited(life) if life.plan.audited else [])


def _decided(books: Books) -> Iterator[str]:
    """Each event is one notification a person, unless it was cancelled before."""
    accepted = {row.uid for row in books.events if row.verdict == "accepted"}
    due = {(one.receipt.uid, who) for one in books.life.said for who in one.who if one.receipt.uid in accepted}
    there = Counter((row.event, row.subscriber) for row in books.notifications)
    yield from (f"{one} has {there[one]} notifications" for one in due | there.keys() if there[one] != (one in due))
    for row in books.notifications:
        if row.status not in ("completed", "merged", "cancelled"):
            yield f"{row.id} is {row.status}"


def _added_up(books: Books) -> Iterator[str]:
    """Σ items = Σ events - withdrawn, for each digest and for each window; every window has one carrier."""
    for step in {item.step for item in books.items}:
        items = sum(row.items or 0 for row in books.windows if row.step == step)
        events_ = [item for item in books.items if item.step == step]
        gone = sum(item not in books.held for item in events_)
        if items != len(events_) - gone:
            yield f"{step}: {items} items of {len(events_)} events, {gone} withdrawn"
    reached = {item.notification for item in books.items}
    for row in books.notifications:
        if row.status != "cancelled" and row.id not in reached:
            yield f"{row.id} is {row.status} and came to no digest"
    for window in books.closed:
        row, members = window.row, [item.notification for item in window.items]
        if row.items != len(members) or row.carrier not in members:
            yield f"window {row.id} counts {row.items} items, holds {len(members)} and is carried by {row.carrier}"
    carriers = Counter((row.row.step, row.row.carrier) for row in books.closed)
    yield from (f"{one} carries {count} windows" for one, count in carriers.items() if count > 1)
    yield from (f"window {row.id} is {row.state}" for row in books.windows if row.state not in ("closed", "empty"))


def _in_time(books: Books) -> Iterator[str]:
    """No window ends but where its mode lets it, none closes before its end, and none is told before it closed."""
    ghosts: dict[Place, list[datetime]] = defaultdict(list)
    places = {row.id: (row.step, row.subscriber, row.key) for row in books.windows}
    for item in books.items:
        if item not in books.held:
            ghosts[places[item.window]].append(item.ts)
    for window in books.closed:
        row, live = window.row, [item.ts for item in window.items]
        if not _may_end(books, window, live, ghosts[window.place]):
            yield f"{window.place} with {[str(ts) for ts in live]} ended {row.closes_at}"
        if row.closed_at < row.closes_at:
            yield f"{window.place} closed {row.closed_at}, before its end {row.closes_at}"
        for message in window.messages:
            if message.created_at < row.closed_at:
                yield f"{window.place} was told {message.created_at}, before it closed {row.closed_at}"


def _may_end(books: Books, window: Closed, live: Sequence[datetime], ghosts: Sequence[datetime]) -> bool:
    mode, row = books.life.mode, window.row
    rule = mode.rule if row.step == "some" else mode.second
    if isinstance(rule, Length):
        return bool(live) and rule.may_end(live, ghosts, row.closes_at)
    assert rule is not None
    told = [one.row.closed_at for one in books.closed if one.place == window.place and one is not window]
    begins = [max([ts, *(at for at in told if at < row.closes_at)]) for ts in (*live, *ghosts)]
    return row.closes_at in {rule.slot(ts, row.subscriber) for ts in begins} and live[-1] <= row.closed_at


def _told_once(books: Books) -> Iterator[str]:
    """One message at most a window, person and channel, and each event in one at most of a digest."""
    told = Counter((row.window, row.subscriber, row.channel) for row in books.messages)
    yield from (f"{count} messages of {one}" for one, count in told.items() if count > 1)
    numbers = Counter(
        (number, row.subscriber, row.step) for row in books.messages if row.content for number in _body(row)
    )
    yield from (f"{one} was told {count} times" for one, count in numbers.items() if count > 1)
    merged = {row.id for row in books.notifications if row.status == "merged"}
    carried = {row.carrier for row in books.windows if row.step == "some"}
    for row in books.messages:
        if row.notification in merged - carried:
            yield f"{row.notification} is merged and has a message"


def _body(message: Any) -> list[int]:
    return [int(number) for number in message.content["body"].split()]


def _only_what_is_left(books: Books) -> Iterator[str]:
    """A message tells what its window holds; nobody hears of what was cancelled or is not true any more."""
    known = {window.row.id for window in books.closed}
    yield from (f"message {row.id} is of no closed window" for row in books.messages if row.window not in known)
    for window in books.closed:
        left = sorted(window.numbers - window.untrue)
        for row in window.messages:
            if row.content and (sorted(_body(row)) != left or row.content["subject"] != str(len(left))):
                yield f"{row.step} of {window.place} tells {row.content}, not {left}"
            if not left:
                yield f"{window.place} has nothing left and a {row.channel} message"
        if window.untrue - books.life.account.untrue:
            yield f"{window.place} left out {window.untrue}"
    cancelled = {(books.number[row.event], row.subscriber): row for row in books.notifications}
    for row in books.messages:
        for number in _body(row) if row.content else ():
            member = cancelled.get((number, row.subscriber))
            if member is not None and member.status == "cancelled" and row.created_at > member.finished_at:
                yield f"{number} was cancelled {member.finished_at} and told {row.created_at}"


def _received(books: Books) -> Iterator[str]:
    """The outside received each e-mail once, and again only for a call whose answer was lost."""
    accepted = Counter(one.id for one in books.life.site.outside)
    emails = {row.id: row for row in books.messages if row.channel == "email"}
    yield from (f"{id_} was sent and never decided" for id_ in accepted if id_ not in emails)
    for id_, row in emails.items():
        if row.status not in ("sent", "skipped", "cancelled"):
            yield f"e-mail {id_} is {row.status}"
        if accepted[id_] < (row.status == "sent") or accepted[id_] > (row.status == "sent") + books.lost[id_]:
            yield f"e-mail {id_} is {row.status} and was received {accepted[id_]} times"


def _as_drawn(books: Books) -> Iterator[str]:
    """The windows are those drawn on paper, wherever that says what has to be."""
    account, seen = books.life.account, books.life.site.seen
    drawn: dict[Place, list[Any]] = {place: [] for place in account.places}
    there: dict[Place, list[Any]] = defaultdict(list)
    for told in account.told:
        # Of several events at one instant it is open which comes first.
        tss = sorted(books.ts[number] for number in told.numbers)
        drawn[told.place].append((told.ends, tss, told.closed_at, sorted(told.messages)))
    for window in books.closed:
        tss = sorted(books.ts[number] for number in window.numbers)
        told = sorted((row.channel, row.status != "skipped", row.created_at) for row in window.messages)
        there[window.place].append((window.row.closes_at, tss, window.row.closed_at, told))
    for place in drawn.keys() | there.keys():
        if place in drawn and account.is_vague(place):
            continue
        seen["windows drawn"] += len(there[place])
        yield from _compared(place, drawn.get(place, []), there[place])


def _compared(place: Place, drawn: list[Any], there: list[Any]) -> Iterator[str]:
    drawn, there = (sorted(some, key=lambda one: one[:2]) for some in (drawn, there))
    open_ = [one[2] is None for one in drawn]
    if len(drawn) == len(there):
        there = [_timeless(one) if vague else one for one, vague in zip(there, open_, strict=True)]
    if drawn != there:
        yield f"{place} has {_shown(there)}, drawn were {_shown(drawn)}"


def _timeless(window: tuple[Any, ...]) -> tuple[Any, ...]:
    ends, tss, _, told = window
    return (ends, tss, None, sorted((channel, wanted, None) for channel, wanted, _ in told))


def _shown(some: Iterable[Any]) -> str:
    return "; ".join(
        f"[{', '.join(f'{ts:%d %H:%M}' for ts in tss)}] until {ends} closed {closed} told {_said(told)}"
        for ends, tss, closed, told in some
    )


def _said(told: Iterable[tuple[str, bool, Any]]) -> Mapping[str, str]:
    return {channel: f"{at}" if wanted else f"not wanted {at}" for channel, wanted, at in told}


def _audited(life: Life) -> list[str]:
    """What `notify audit` says."""
    listeners = {"it/happened": [life.plan.mode]}
    with life.notify.database.read() as connection:
        found = audit(connection, life.environment, listeners, now=life.clock.at)
    life.site.seen["audits"] += 1
    return [one.sentence for one in found.violations]
