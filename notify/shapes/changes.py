"""What a release changes for people who wait, from where they stand and what their workflow is now. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from notify.model import Channel, DigestMode, JsonObject, StepState
from notify.shapes.shape import Shape, Shown
from notify.steps import WAITING

_CHANNELS = frozenset(channel.value for channel in Channel)
_PASSED = WAITING | {"throttle"}
#: Kinds that are called otherwise where they are asked for.
_SPOKEN = {"waitforevent": "wait_for_event", "isread": "is_read", "isseen": "is_seen", "isonline": "is_online"}


@dataclass(frozen=True, slots=True)
class Standing:
    """So many people who began with a workflow as it `was`, and who all remember this step."""

    was: Shape
    key: str
    kind: str
    state: str
    people: int

    @property
    def waits(self) -> bool:
        """Whether it is what they wait in."""
        return self.state == StepState.DELAYED and self.kind in WAITING


@dataclass(frozen=True, slots=True)
class Collecting:
    """So many open windows of a digest, and what they opened with."""

    step: str
    rule: JsonObject
    windows: int


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is different for people who wait, in words; `people` are windows where it is about those."""

    effect: str
    text: str
    people: int
    step: str | None = None
    #: Whether they would fail with it.
    fails: bool = False


def of_steps(now: Shape, standing: Sequence[Standing]) -> Iterator[Change]:
    """What becomes of those who remember these steps."""
    yield from _of_another_kind(now, standing)
    for some in _alike([one for one in standing if one.waits]):
        if now.lacks(some.key, some.kind) and now.became(some.key, some.kind) is None:
            yield _gone(now, some)
        elif now.place(some.key, some.kind) is not None:
            yield from _around(now, some)


def _alike(standing: Sequence[Standing]) -> list[Standing]:
    """Those in one step together whose workflows were one shape."""
    found: dict[tuple[str, str, str], Standing] = {}
    for one in standing:
        place = (one.key, one.kind, one.was.code)
        people = one.people + (found[place].people if place in found else 0)
        found[place] = Standing(one.was, one.key, one.kind, one.state, people)
    return list(found.values())


def _of_another_kind(now: Shape, standing: Sequence[Standing]) -> Iterator[Change]:
    counts: dict[tuple[str, str, str], int] = {}
    for one in standing:
        kind = now.became(one.key, one.kind)
        if kind is not None:
            counts[one.key, one.kind, kind] = counts.get((one.key, one.kind, kind), 0) + one.people
    for (key, was, kind), people in counts.items():
        text = (
            f"step {key!r} was {_a(was)} and is {_a(kind)} now: "
            f"{_people(people, 'who waits', 'who wait')} would fail with StepChanged; give it a new key"
        )
        yield Change("kind_changed", text, people, key, fails=True)


def _gone(now: Shape, some: Standing) -> Change:
    again = [one for one in now.steps if one.kind in WAITING and some.was.lacks(one.key, one.kind)]
    anew = f", and wait anew in {_listed(again)}" if again else ""
    text = (
        f"{_people(some.people, 'waits', 'wait')} in {_name(some.key, some.kind)}; this release has no such step: "
        f"once it is over they go on without it{anew}"
    )
    return Change("step_gone", text, some.people, some.key)


def _around(now: Shape, some: Standing) -> Iterator[Change]:
    who = f"{_people(some.people, 'who waits', 'who wait')} in {_name(some.key, some.kind)}"
    if some.was.whole:
        past, ahead = _new_before(now, some), _new_after(now, some)
        if past:
            each = ", ".join(f"{_name(one.key, one.kind)} is {_fate(one.kind)}" for one in past)
            yield Change(
                "added_before", f"what is new before it lies in the past of {who}: {each}", some.people, some.key
            )
        if ahead:
            yield Change("added_after", f"{who} {_coming(now, some, ahead)}", some.people, some.key)


def _coming(now: Shape, some: Standing, ahead: Sequence[Shown]) -> str:
    """To what they come, and to what they may come: what stands in a branch that their wait is not in."""
    here = now.steps[now.place(some.key, some.kind) or 0]
    sure, perhaps = ([one for one in ahead if one.follows(here) is is_sure] for is_sure in (True, False))
    if not sure:
        return f"may come to what is new after it: {_listed(perhaps)}"
    come = "comes" if some.people == 1 else "come"
    more = f", and may come to {_listed(perhaps)}" if perhaps else ""
    return f"{come} to what is new after it: {_listed(sure)}{more}"


def _new_before(now: Shape, some: Standing) -> list[Shown]:
    """What stands before the wait now and that they did not come to before it: also what moved there."""
    here, there = now.place(some.key, some.kind) or 0, some.was.place(some.key, some.kind)
    beside = now.steps[here].group
    return [
        one
        for one in _once(now.steps[:here])
        if not (beside and one.group == beside)
        and some.was.became(one.key, one.kind) is None
        and _later(some.was.place(one.key, one.kind), there)
    ]


def _later(place: int | None, than: int | None) -> bool:
    return place is None or (than is not None and place > than)


def _new_after(now: Shape, some: Standing) -> list[Shown]:
    here = now.place(some.key, some.kind) or 0
    beside = now.steps[here].group
    rest = [one for place, one in enumerate(now.steps) if place > here or (beside and one.group == beside)]
    return [one for one in _once(rest) if some.was.place(one.key, one.kind) is None]


def _once(steps: Sequence[Shown]) -> list[Shown]:
    return list({(one.key, one.kind): one for one in steps}.values())


def _fate(kind: str) -> str:
    return "skipped" if kind in _CHANNELS else "passed" if kind in _PASSED else "done now"


# --- windows ------------------------------------------------------------------------------------


def of_windows(workflow: str, now: Shape, windows: Sequence[Collecting], *, code_changed: bool) -> Iterator[Change]:
    """Open windows keep the length they opened with; said where it is another now, or may be."""
    for one in windows:
        rules = [step.rule for step in now.steps if step.kind == "digest" and step.may_be(one.step)]
        if one.rule in rules or (rules == [None] and not code_changed):
            continue
        new = next((rule for rule in rules if rule), None)
        text, closing = _kept(one, new), _closing(workflow, one, rules)
        if rules or closing:
            yield Change("window_kept", f"{text}{closing}", one.windows, one.step)


def _kept(one: Collecting, new: JsonObject | None) -> str:
    many = "1 open window" if one.windows == 1 else f"{one.windows:,} open windows"
    keep = "keeps what it" if one.windows == 1 else "keep what they"
    kept = f"{keep} opened with: {_lasting(one.rule)}"
    if new is None:
        return f"{many} of digest {one.step!r} {kept}"
    return f"digest {one.step!r} collects {_lasting(new)} now; {many} {kept}"


def _closing(workflow: str, one: Collecting, rules: Sequence[JsonObject | None]) -> str:
    """Nothing but a tick closes a window of the calendar."""
    ticks = any(rule is None or rule["mode"] == DigestMode.CALENDAR for rule in rules)
    if ticks or one.rule["mode"] != DigestMode.CALENDAR:
        return ""
    return f"; only {workflow}/cron closes {'it' if one.windows == 1 else 'them'}, so leave it deployed until then"


def _lasting(rule: JsonObject) -> str:
    """For how long a digest collects, in words."""
    if "slots" in rule:
        return f"until {rule['slots']}"
    words = _length(rule["seconds"])
    if rule["mode"] == DigestMode.DEBOUNCE:
        words += f" of quiet, {_length(rule['max'])} at most"
    elif rule["mode"] == DigestMode.LOOKBACK:
        words += f" after one that passes, {_length(rule['back'])} after the last"
    return f"{words} or {rule['capacity']} events" if "capacity" in rule else words


_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def _length(seconds: float) -> str:
    """1 h 30 min."""
    parts: list[str] = []
    for unit, size in _UNITS:
        count = seconds // size if size > 1 else seconds
        seconds -= count * size
        parts += [f"{count:g} {unit}"] if count else []
    return " ".join(parts)


# --- words --------------------------------------------------------------------------------------


def _people(count: int, does: str, do: str) -> str:
    return f"1 person {does}" if count == 1 else f"{count:,} people {do}"


def _a(kind: str) -> str:
    spoken = _SPOKEN.get(kind, kind)
    return f"{'an' if spoken[0] in 'aeiou' else 'a'} {spoken}"


def _name(key: str, kind: str) -> str:
    name = key.removesuffix(f".{kind}") if kind in _CHANNELS else key
    return f"{_SPOKEN.get(kind, kind)} {name!r}"


def _listed(steps: Sequence[Shown]) -> str:
    return ", ".join(_name(one.key, one.kind) for one in steps)
