"""What digests came to, and whether it grew with the events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tests.benchmarks import digest_load

#: How much more an event may take at the largest size than at the smallest, and how much more memory the worker.
LINEAR, FLAT = 1.15, 1.25


@dataclass(frozen=True)
class Phase:
    """One stretch of a run."""

    name: str
    events: int
    seconds: float
    cpu: Mapping[str, float]
    others: float
    statements: int
    #: The most memory the worker had, in megabytes.
    peak: float
    #: Seconds that a small piece of work took meanwhile, always the same one.
    pace: float

    def lasting(self, seconds: float) -> Phase:
        """The same, now that it is known how long it took."""
        return replace(self, seconds=seconds)

    @property
    def each(self) -> float:
        """Microseconds an event."""
        return 1e6 * self.seconds / self.events

    def line(self) -> str:
        """The phase in a line."""
        spent = " · ".join(f"{name} {seconds:.1f}" for name, seconds in self.cpu.items())
        statements = 1000 * self.statements / self.events
        return (
            f"  {self.name:18}{self.events / self.seconds:10,.0f} events/s   {self.seconds:8.2f} s;"
            f" {statements:6,.0f} statements per 1,000 events; worker's peak {self.peak:.0f} MB;"
            f" CPU seconds: {spent}; others {self.others:.1f}"
        )


@dataclass(frozen=True)
class Digested:
    """One size."""

    events: int
    phases: Sequence[Phase]
    #: The worker's memory before and after, in megabytes.
    before: float
    after: float

    @property
    def peak(self) -> float:
        """The most memory the worker had."""
        return max(phase.peak for phase in self.phases)

    @property
    def seconds(self) -> float:
        """All phases."""
        return sum(phase.seconds for phase in self.phases)

    @property
    def cpu(self) -> float:
        """CPU microseconds an event, of worker, Prefect server and PostgreSQL."""
        return 1e6 * sum(sum(phase.cpu.values()) for phase in self.phases) / self.events

    def lines(self) -> str:
        """What it came to."""
        head = f"{self.events:,} events, {digest_load.windows(self.events):,} windows:"
        rate = f"{self.events / self.seconds:,.0f} events/s"
        memory = f"worker {self.before:.0f} MB before, {self.peak:.0f} MB at most, {self.after:.0f} MB at rest after"
        whole = f"  {'together':18}{rate:>19}   {self.seconds:8.2f} s; {memory}; the audit is clean"
        return "\n".join([head, *(phase.line() for phase in self.phases), whole])


def growth(found: Sequence[Digested]) -> str:
    """Each size beside the smallest: what an event takes, at the machine's pace of then, and the worker's memory."""
    least = found[0]
    seconds = [[one.phases[place].each for one in found] for place in range(len(least.phases))]
    paces = [[one.phases[place].pace for one in found] for place in range(len(least.phases))]
    whole = [1e6 * one.seconds / one.events for one in found]
    usual = [_usual(one) for one in found]
    lines = [
        "microseconds an event, and as multiples of those of the smallest size; in brackets the pace of the machine:"
    ]
    for phase, each, pace in zip(least.phases, seconds, paces, strict=True):
        lines.append(f"  {phase.name:18}{_multiples(found, each, pace)}")
    lines.append(f"  {'together':18}{_multiples(found, whole, usual)}")
    lines.append(f"  {'CPU, together':18}{_multiples(found, [one.cpu for one in found], usual)}")
    worst = max(_grown(each, pace) for each, pace in zip(seconds, paces, strict=True))
    memory = max(one.peak for one in found) / min(one.peak for one in found)
    linear, flat = _verdict(worst <= LINEAR), _verdict(memory <= FLAT)
    lines.append(
        f"linear or better: {linear} (at one pace: the worst phase {worst:.2f} ×, together "
        f"{_grown(whole, usual):.2f} ×; aim ≤ {LINEAR:g} × for each phase)"
    )
    peaks = ", ".join(f"{one.peak:.0f} MB at {one.events:,}" for one in found)
    lines.append(f"memory flat: {flat} (worker's peak {peaks}; {memory:.2f} ×, aim ≤ {FLAT:g} ×)")
    return "\n".join(lines)


def _usual(one: Digested) -> float:
    """The machine's pace over all phases."""
    return sum(phase.pace * phase.seconds for phase in one.phases) / one.seconds


def _grown(each: Sequence[float], pace: Sequence[float]) -> float:
    """What an event takes at the largest size beside the smallest, had the machine been as fast then."""
    return each[-1] / pace[-1] / (each[0] / pace[0])


def _multiples(found: Sequence[Digested], each: Sequence[float], pace: Sequence[float]) -> str:
    beside = zip(found, each, pace, strict=True)
    return ", ".join(
        f"{value:,.0f} at {one.events:,} ({value / each[0]:.2f} × [{slow / pace[0]:.2f}])"
        for one, value, slow in beside
    )


def _verdict(holds: bool) -> str:
    return "yes" if holds else "no"
