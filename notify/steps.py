"""Step requests as values. Awaiting one hands it to the driver, which answers with the step's result."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any, Generic, TypeVar

from notify.model import Channel, JsonObject, MessageStatus

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Decision:
    """What a channel step came to for one person: decided for good, delivered later."""

    status: MessageStatus
    reason: str | None = None
    message: str | None = None
    #: Why it failed, for people: the template, its line, and what is missing.
    problem: str | None = None

    @property
    def told(self) -> bool:
        """True when a message was made."""
        return self.status in (MessageStatus.QUEUED, MessageStatus.HELD, MessageStatus.DELIVERED)


@dataclass(frozen=True, slots=True)
class Collected:
    """One event of a digest."""

    id: str
    name: str
    time: datetime
    payload: JsonObject


#: How many events of a digest a message shows; the rest are counted.
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Burst:
    """What a digest collected, oldest first."""

    events: Sequence[Collected] = ()

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


@dataclass(frozen=True, slots=True)
class Step(Generic[T]):
    """One awaited call under a key the author chose."""

    key: str

    @property
    def kind(self) -> str:
        """What it does; a key keeps its kind for good."""
        return type(self).__name__.lower()

    def __await__(self) -> Generator[Step[T], Any, T]:
        return (yield self)


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
    """A wait; answers False when the instant had passed already."""

    until: datetime | None = None
    length: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Calendar:
    """Ticks in the person's own zone: at `at` on each of `weekdays` (Monday is 0)."""

    at: time
    weekdays: frozenset[int] = frozenset(range(7))


@dataclass(frozen=True, slots=True)
class Digest(Step[Burst]):
    """A window that collects; only its earliest member carries on."""

    by: str = ""
    length: timedelta | None = None
    calendar: Calendar | None = None


@dataclass(frozen=True, slots=True)
class IsRead(Step[bool]):
    """Whether the in-app message of an earlier step has been read by now."""

    step: str = ""


@dataclass(frozen=True, slots=True)
class All(Generic[T]):
    """Several steps in one round; answers their results in order."""

    steps: tuple[Step[Any], ...]

    def __await__(self) -> Generator[All[T], Any, list[Any]]:
        return (yield self)


@dataclass(frozen=True, slots=True)
class Skip:
    """A body's last word: nothing more to tell, and why."""

    reason: str
