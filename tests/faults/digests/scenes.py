"""What may happen in a life of digests, drawn at random: scene by scene, each at an instant of its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import product
from typing import Literal

from hypothesis import strategies as st

from tests.faults.digests.modes import MODES, ZONES

#: How far the clock goes: minutes, or to the instant at which the next window ends, or just not to it.
Jump = int | Literal["end", "before"]


@dataclass(frozen=True)
class Happening:
    """Something happens (or is asked for) so many minutes from now; it may be past, or ahead."""

    minutes: int
    who: tuple[str, ...]
    key: str = ""
    asked: Literal["low", "critical"] | None = None


@dataclass(frozen=True)
class Deed:
    """Somebody cancels, reads or chooses something, or what happened turns out not to be true."""

    what: Literal["cancel", "read", "choose", "untrue"]
    #: Which of those there are; a choice is taken from it too.
    which: int = 0


@dataclass(frozen=True)
class Work:
    """Processes do all there is to do. The first one may die on the way, at its n-th step.

    Then another process takes over at once or, `later`, when there is work again.
    """

    processes: int = 1
    dies: int | None = None
    later: bool = False
    #: All of them are new.
    fresh: bool = False


@dataclass(frozen=True)
class Scene:
    """One instant: what happens and is done, then the work, then the cron deployment so many times."""

    jump: Jump = 0
    happenings: tuple[Happening, ...] = ()
    deeds: tuple[Deed, ...] = ()
    work: Work | None = Work()
    ticks: int = 0
    tick_dies: int | None = None


@dataclass(frozen=True)
class Plan:
    """A life: its mode, when it begins, how little is done in one transaction, and whether it is audited."""

    mode: str
    begins: datetime
    narrow: bool
    scenes: tuple[Scene, ...]
    audited: bool = False


#: Before clocks change in Rome, in New York and in Rome again; and a day on which nothing does.
BEGINNINGS = (
    datetime(2026, 1, 15, 12, tzinfo=UTC),
    datetime(2026, 3, 28, 7, tzinfo=UTC),
    datetime(2026, 10, 24, 17, 45, tzinfo=UTC),
    datetime(2026, 11, 1, 3, tzinfo=UTC),
)
_SOON = (0, 0, 0, 0, 1, 5, 10, -1, -5, -10, 15, -15, 20, -20, -40, 45)
_WHO = (("ann",), ("ann",), *((one,) for one in ZONES), ("ann", "bob"))
_ASKED: tuple[Literal["low", "critical"] | None, ...] = (None, None, "low", "critical")
_DEEDS: tuple[Literal["cancel", "read", "choose", "untrue"], ...] = ("cancel", "cancel", "read", "choose", "untrue")
# Drawn whole: a life is some thirty choices rather than a hundred, and drawing it takes a third of the time.
_HAPPENING = st.sampled_from([Happening(*one) for one in product(_SOON, _WHO, ("", "", "x"), _ASKED)])
_DEED = st.sampled_from([Deed(*one) for one in product(_DEEDS, range(12))])
_DIES = st.one_of(st.none(), st.integers(1, 90))
_WORK = st.builds(
    lambda dies, rest: Work(rest[0], dies, *rest[1:]),
    _DIES,
    st.sampled_from(list(product((1, 1, 2), (False, True), (False, True)))),
)
_JUMP: st.SearchStrategy[Jump] = st.sampled_from(
    [0, 1, 4, 5, 10, 14, 15, 20, 30, 60, 360, 1440, 5760, "end", "end", "end", "before"]
)


_HAPPENINGS = st.lists(_HAPPENING, max_size=4).map(tuple)
_NARROW = st.sampled_from([False, False, True])
_AUDITED = st.sampled_from([False] * 9 + [True])


@cache
def _scene(calendar: bool) -> st.SearchStrategy[Scene]:
    return st.builds(
        Scene,
        jump=_JUMP,
        happenings=_HAPPENINGS,
        deeds=st.lists(_DEED, max_size=2).map(tuple),
        work=st.one_of(_WORK, _WORK, st.none()),
        ticks=st.sampled_from([0, 1, 1, 1, 5]) if calendar else st.just(0),
        tick_dies=_DIES if calendar else st.none(),
    )


@st.composite
def plans(draw: st.DrawFn, mode: str, scenes: int) -> Plan:
    """Any life of so many scenes at most."""
    played = draw(st.lists(_scene(MODES[mode].calendar), min_size=1, max_size=scenes))
    return Plan(mode, draw(st.sampled_from(BEGINNINGS)), draw(_NARROW), tuple(played), draw(_AUDITED))
