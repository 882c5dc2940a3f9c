"""Step requests as values. Awaiting one hands it to the driver, which answers with the step's result."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

from notify.errors import Halted, NotAwaited
from notify.model import Channel, DigestMode, Event, JsonObject, MessageStatus
from notify.timing import Length, Slots

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Decision:
    """What a channel step came to for one person: decided for good, delivered later."""

    status: MessageStatus
    reason: str | None = None
    message: str | None = None
    #: Why it failed, for people: the template, its line, and what is missing.
    problem: str | None = None
    #: When it is to go out, where it was held.
    until: datetime | None = None

    @property
    def told(self) -> bool:
        """True when a message was made."""
        return self.status in (MessageStatus.QUEUED, MessageStatus.HELD, MessageStatus.DELIVERED)


@dataclass(frozen=True, slots=True)
class Collected:
    """One event of a digest; `reason` is why it was withdrawn from it."""

    id: str
    name: str
    time: datetime
    payload: JsonObject
    reason: str | None = None


SHOWN = 5  # How many events of a digest a message shows; the rest are counted.


@dataclass(frozen=True, slots=True)
class Burst:
    """What a digest collected, oldest first, and what was withdrawn from it."""

    events: Sequence[Collected] = ()
    withdrawn: Sequence[Collected] = ()

    @property
    def total(self) -> int:
        """How many there were."""
        return len(self.events)

    @property
    def shown(self) -> Sequence[Collected]:
        """The first few."""
        return self.events[:SHOWN]

    @property
    def more(self) -> int:
        """How many are not among the shown."""
        return self.total - len(self.shown)

    @property
    def manifest(self) -> JsonObject:
        """The ids of the events that are in it, and of those withdrawn, each with its reason."""
        return {
            "events": [event.id for event in self.events],
            "withdrawn": [{"id": event.id, "reason": event.reason} for event in self.withdrawn],
        }

    def without(self, reasons: Mapping[str, str]) -> Burst:
        """The same less the events with these ids, which are withdrawn for their reasons."""
        left = [replace(event, reason=reasons[event.id]) for event in self.events if event.id in reasons]
        kept = [event for event in self.events if event.id not in reasons]
        return Burst(kept, [*self.withdrawn, *left]) if left else self


@dataclass(frozen=True, slots=True)
class Step(Generic[T]):
    """One awaited call under a key the author chose."""

    key: str

    @property
    def kind(self) -> str:
        """What it does; a key keeps its kind for good."""
        return type(self).__name__.lower()

    def after(self, result: T) -> Step[T] | None:
        """What has to be asked once its result is there, before the body gets it."""
        return None

    def __bool__(self) -> bool:
        raise NotAwaited(what=f"Step {self.key!r}")

    def __await__(self) -> Generator[Step[T], Any, T]:
        result: T = yield self
        following = self.after(result)
        return result if following is None else (yield following)


@dataclass(frozen=True, slots=True)
class Send(Step[Decision]):
    """A message on one channel."""

    channel: Channel = Channel.IN_APP
    step: str = ""
    context: Mapping[str, Any] = field(default_factory=lambda: {})

    @property
    def kind(self) -> str:
        return self.channel.value


@dataclass(frozen=True, slots=True)
class Run(Step[T]):
    """A function of the author's, remembered once it succeeded."""

    function: Callable[..., Any] = lambda: None
    args: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=lambda: {})


@dataclass(frozen=True, slots=True)
class Emit(Step[str]):
    """An event of the workflow's own; answers its uid."""

    name: str = ""
    data: Any = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Trigger(Step[str]):
    """Another workflow for named recipients; answers the transaction id."""

    workflow: str = ""
    to: Any = None
    payload: Any = None


@dataclass(frozen=True, slots=True)
class Sleep(Step[bool]):
    """A wait, until an instant or for a length or to the next slot; False when its instant had passed already."""

    until: datetime | None = None
    length: Length | None = None
    slots: Slots | None = None
    #: Where slots are read; None is the person's own zone.
    zone: str | None = None
    #: Whether to go on until the person's weekly hours are open.
    extend: bool = False

    @property
    def personal(self) -> bool:
        """Whether its end depends on where the person lives, or on their hours."""
        by_calendar = self.length is not None and bool(self.length.months or self.length.days)
        return self.extend or by_calendar or (self.slots is not None and self.zone is None)


@dataclass(frozen=True, slots=True)
class Delay(Sleep):
    """A wait as the application asked for it, in the event: what it cannot mean, or what is past, is an error."""

    asked: Any = None

    @property
    def personal(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class WaitForEvent(Step[Event | None]):
    """A wait for an event that matches; answers it, or None when it did not come in time."""

    name: str = ""
    match: str | None = None
    timeout: Length = field(default_factory=Length)


@dataclass(frozen=True, slots=True)
class Invoke(Step[Any]):
    """Another workflow for one person, waited for; answers what its body returned."""

    workflow: str = ""
    to: Any = None
    payload: Any = None
    timeout: Length = field(default_factory=Length)


#: Why an event no longer belongs to a digest that is about to be sent, or None where it still does.
Unless = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Digest(Step[Burst]):
    """A window that collects; only its earliest member carries on."""

    by: str = ""
    mode: DigestMode = DigestMode.FIXED
    #: `seconds`, and by mode `max` or `back` seconds; `capacity` events fill it. A calendar has its `slots` instead.
    rule: Mapping[str, Any] = field(default_factory=lambda: {})
    slots: Slots | None = None
    #: Where the slots are read; None is the person's own zone.
    zone: str | None = None
    unless: Unless | None = None
    #: Whether who carries on waits until the person's weekly hours are open.
    extend: bool = False

    def after(self, result: Burst) -> Step[Burst] | None:
        return None if self.unless is None else Recheck(f"{self.key}.unless", self.unless, burst=result)

    def __await__(self) -> Generator[Step[Any], Any, Burst]:
        burst: Burst = yield self
        if self.extend:
            yield Sleep(f"{self.key}.open", length=Length(), extend=True)
        following = self.after(burst)
        if following is not None:
            burst = yield following
        if not burst.events:
            raise Halted("digest_empty")
        return burst


@dataclass(frozen=True, slots=True)
class Throttle(Step[None]):
    """A gate that lets so many pass within a window, which lasts a length or goes on until what a payload says."""

    threshold: int = 1
    by: str = ""
    lasts: Length | None = None
    until: Any = None


@dataclass(frozen=True, slots=True)
class Recheck(Run[Burst]):
    """Asks of each event of a digest, once it closed, whether it still belongs to it."""

    burst: Burst = Burst()


#: Steps that let a notification wait, and their kinds.
WAITS = (Sleep, WaitForEvent, Invoke, Digest)
WAITING = frozenset(step.__name__.lower() for step in (Delay, *WAITS))


class Fact(StrEnum):
    """What may change while somebody waits; the values are the kinds under which answers are remembered."""

    READ = "isread"
    SEEN = "isseen"
    ONLINE = "isonline"


@dataclass(frozen=True, slots=True)
class Look(Step[bool]):
    """A fact as it stands when the step is reached; the answer is remembered and does not change any more."""

    fact: Fact = Fact.READ
    #: Whose in-app message it is about; '' where it is about the person.
    step: str = ""

    @property
    def kind(self) -> str:
        return self.fact.value


@dataclass(frozen=True, slots=True)
class All(Generic[T]):
    """Several steps in one round; answers their results in order."""

    steps: tuple[Step[Any], ...]

    def __bool__(self) -> bool:
        raise NotAwaited(what="n.all(…)")

    def __await__(self) -> Generator[All[T], Any, list[Any]]:
        results: list[Any] = list((yield self))
        following = ((place, step.after(results[place])) for place, step in enumerate(self.steps))
        asked = {place: step for place, step in following if step is not None}
        if asked:
            for place, result in zip(asked, (yield All(tuple(asked.values()))), strict=True):
                results[place] = result
        return results


@dataclass(frozen=True, slots=True)
class Skip:
    """A body's last word: nothing more to tell, and why."""

    reason: str
