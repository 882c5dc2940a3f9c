"""What a run came to, and how it is printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PERCENTILES = (50, 90, 99)


@dataclass(frozen=True)
class Figures:
    """One run of one system."""

    people: int
    letters: int
    calls: int
    seconds: float
    cpu: Mapping[str, float]
    #: CPU seconds that others on this machine used meanwhile: they are what disturbs.
    others: float
    notes: Sequence[str] = ()

    @property
    def rate(self) -> float:
        """Notifications a second."""
        return self.people / self.seconds

    @property
    def cost(self) -> float:
        """CPU milliseconds for each notification, all parts together."""
        return 1000 * sum(self.cpu.values()) / self.people

    def line(self) -> str:
        """The run in a line."""
        doubled = f" · {self.calls - self.letters} letters DOUBLED" if self.calls != self.letters else ""
        return (
            f"{self.rate:8,.0f} notifications/s   {self.people:,} people, {self.letters:,} letters in"
            f" {self.seconds:.2f} s{doubled}"
        )

    def details(self) -> str:
        """What it cost, a line each."""
        parts = " · ".join(f"{name} {seconds:.2f}" for name, seconds in self.cpu.items())
        cpu = f"CPU seconds: {parts} · together {sum(self.cpu.values()):.2f}; others on this machine {self.others:.2f}"
        return "\n".join(f"    {line}" for line in [cpu, *self.notes])


def best(runs: Sequence[Figures]) -> Figures:
    """The fastest."""
    return max(runs, key=lambda run: run.rate)


def percentiles(values: Sequence[float]) -> str:
    """`p50 1.20 ms, …, max …` of some seconds."""
    ordered = sorted(values)
    at = {f"p{share}": ordered[min(len(ordered) - 1, len(ordered) * share // 100)] for share in PERCENTILES}
    return ", ".join(f"{name} {_spoken(value)}" for name, value in (at | {"max": ordered[-1]}).items())


def _spoken(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.2f} ms"
