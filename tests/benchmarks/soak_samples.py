"""What a soak saw, and what it comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.benchmarks.prefect_rows import TABLES, Kept
from tests.benchmarks.site import MEGABYTE

#: Megabytes a minute below which memory counts as flat.
FLAT = 1.0
#: How much more there may be at the end than when the first third was over, where old rows are taken away.
BOUNDED = 1.5
#: The share of what comes that may be left over: a backlog that grows no faster is chance.
LEFT = 0.02


@dataclass(frozen=True)
class Sample:
    """One look: memory and the store's size in megabytes."""

    at: float
    worker: float
    server: float
    store: float
    prefect: Kept
    notifications: int
    waiting: int
    ready: int


@dataclass
class Soaked:
    """All looks, in order."""

    samples: list[Sample] = field(default_factory=lambda: list[Sample]())
    application: dict[str, int] = field(default_factory=lambda: dict[str, int]())

    HEAD = (
        "   minute  worker MB  server MB   store MB  Prefect MB  flow runs  task runs    events      logs"
        "  notifications   waiting     ready"
    )

    def row(self) -> str:
        """The last look, under HEAD."""
        one = self.samples[-1]
        rows = "".join(
            f"{one.prefect.rows[table]:>{width}}" for table, width in zip(TABLES, (11, 11, 10, 10), strict=True)
        )
        sizes = f"{one.worker:11.0f}{one.server:11.0f}{one.store:11.1f}{one.prefect.used / MEGABYTE:12.1f}"
        return f"{one.at / 60:9.1f}{sizes}{rows}{one.notifications:>15,}{one.waiting:>10,}{one.ready:>10,}"

    def verdict(self, seconds: float) -> str:
        """Whether memory is flat over the last two thirds, what Prefect's database takes, and what its vacuum does."""
        late = [one for one in self.samples if one.at >= seconds / 3]
        lines = [
            f"the application made {self.application['calls']:,} calls; {self.application['cancelled']:,} cancelled"
        ]
        for name, values in (
            ("worker", [one.worker for one in late]),
            ("Prefect server", [one.server for one in late]),
        ):
            slope = 60 * _slope([one.at for one in late], values)
            verdict = "reached" if slope < FLAT else "missed"
            each = 1024 * slope / max(1e-9, 60 * _slope([one.at for one in late], [one.notifications for one in late]))
            grown = f"{slope:+.2f} MB a minute, {each:+.1f} KB a notification"
            lines.append(f"memory of the {name}: {grown} · aim < {FLAT:g} MB a minute: {verdict}")
        lines += [self._backlog(late), self._growth(seconds), *self._vacuum(late)]
        return "\n".join(f"  {line}" for line in lines)

    def _backlog(self, late: Sequence[Sample]) -> str:
        """What nobody works on although it could be: it may not grow with the time."""
        slope = 60 * _slope([one.at for one in late], [one.ready for one in late])
        asked = 60 * _slope([one.at for one in late], [one.notifications for one in late])
        verdict = "reached" if slope <= LEFT * asked else "missed"
        share = f"{slope:+,.0f} a minute of {asked:,.0f} made"
        return f"backlog: at most {max(one.ready for one in late):,} ready, {share} · aim not growing: {verdict}"

    def _growth(self, seconds: float) -> str:
        """Before anything is old, everything written stays: the first third."""
        first = self.samples[0]
        last = [one for one in self.samples if one.at < seconds / 3][-1]
        written = 1000 * (last.prefect.used - first.prefect.used) / max(1, last.notifications - first.notifications)
        stored = 1000 * (last.store - first.store) / max(1, last.notifications - first.notifications)
        return f"of 1,000 notifications Prefect's database keeps {written / MEGABYTE:.2f} MB, the store {stored:.2f} MB"

    def _vacuum(self, late: Sequence[Sample]) -> list[str]:
        lines: list[str] = []
        for table in TABLES[:3]:
            counts = [one.prefect.rows[table] for one in late]
            taken = sum(max(0, before - after) for before, after in pairwise(counts))
            bounded = taken > 0 and counts[-1] <= BOUNDED * counts[0]
            verdict = "reached" if bounded else "missed"
            lines.append(
                f"vacuum, {table}: {counts[0]:,} when the first were old, at most {max(counts):,},"
                f" {counts[-1]:,} at the end, drops of {taken:,} seen · aim bounded: {verdict}"
            )
        return lines


def _slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Of the straight line that fits best."""
    if len(xs) < 2:
        return 0.0
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)
