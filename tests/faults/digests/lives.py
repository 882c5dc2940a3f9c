"""Many lives, each checked against the books: the property itself, for the gate and for the command."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck, given

from tests.faults.digests.books import wrong
from tests.faults.digests.life import Life, Site
from tests.faults.digests.scenes import Plan, plans
from tests.world import migrated

EXAMPLES = "examples"


@contextmanager
def site(folder: Path, url: str) -> Generator[Site]:
    """A place to live, in a database that has the schema."""
    made = Site(folder, url)
    try:
        yield made
    finally:
        made.close()


def hold(site: Site, mode: str, examples: int, *, scenes: int, seed: int) -> None:
    """Live through so many plans of so many scenes at most: the same ones for the same seed.

    An AssertionError with what was wrong and the simplest plan that leads to it.
    """

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        database=None,
        deadline=None,
        print_blob=False,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(plan=plans(mode, scenes))
    def all_is_told_once_and_in_time(plan: Plan) -> None:
        site.seen[EXAMPLES] += 1
        site.seen[mode] += 1
        life = Life(site, plan)
        life.live()
        found = wrong(life)
        assert not found, "\n".join(found)

    all_is_told_once_and_in_time()


def hold_all(
    request: pytest.FixtureRequest, folder: Path, kind: str, modes: Sequence[str], examples: int
) -> Counter[str]:
    """So many examples of each mode on a database of this kind, the same ones each time; answers what was seen."""
    with site(folder, migrated(request, kind)) as made:
        began = time.monotonic()
        for number, mode in enumerate(modes):
            hold(made, mode, examples, scenes=3, seed=number)
        print(f"\n{kind}: {made.seen[EXAMPLES] / (time.monotonic() - began):.1f} examples/s, {dict(made.seen)}")
        return made.seen
