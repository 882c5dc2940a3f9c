"""`python -m tests.faults.digests --examples 20000`: exit code 1 when a digest lost, doubled or hurried anything."""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from itertools import cycle
from pathlib import Path

from notify.store import schema
from notify.store.database import Database
from tests.benchmarks.ending import orderly
from tests.faults.digests.lives import EXAMPLES, hold, site
from tests.faults.digests.modes import MODES

#: Examples of one seed and mode, in a database of their own.
_CHUNK = 200


def live(seed: int, mode: str, examples: int) -> tuple[Counter[str], str | None]:
    """Examples of one seed: what was seen, and what failed."""
    with tempfile.TemporaryDirectory(prefix="notify-digests-") as folder:
        url = f"sqlite:///{folder}/notify.db"
        database = Database(url)
        schema.upgrade(database)
        database.close()
        with site(Path(folder), url) as made:
            try:
                hold(made, mode, examples, scenes=5, seed=seed)
            except BaseException as error:
                return made.seen, f"seed {seed}\n{''.join(traceback.format_exception(error))}"
            return made.seen, None


def chunks(examples: int, seed: int) -> Iterator[tuple[int, str, int]]:
    """Seeds, one mode after the other, and how many examples of each."""
    modes = cycle(MODES)
    for number, start in enumerate(range(0, examples, _CHUNK)):
        yield seed + number, next(modes), min(_CHUNK, examples - start)


def main() -> int:
    """Live, compare, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.digests", description=__doc__)
    parser.add_argument("--examples", type=int, default=20_000)
    parser.add_argument("--minutes", type=float, default=25.0, help="after which no more are begun")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    orderly()
    print(f"seed {options.seed}, {options.processes} processes")
    seen, failed, began = Counter[str](), list[str](), time.monotonic()
    waiting = chunks(options.examples, options.seed)
    with ProcessPoolExecutor(options.processes) as pool:
        running = {pool.submit(live, *chunk) for chunk, _ in zip(waiting, range(options.processes), strict=False)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for found, failure in (future.result() for future in done):
                seen += found
                failed += [failure] if failure else []
            seconds = time.monotonic() - began
            print(f"{seen[EXAMPLES]} examples, {seen[EXAMPLES] / seconds:.1f}/s", flush=True)
            if not failed and seconds < options.minutes * 60:
                running |= {pool.submit(live, *chunk) for chunk, _ in zip(waiting, done, strict=False)}
    print("\n".join(f"{count:8} {what}" for what, count in seen.most_common()))
    print("\n".join(failed) or "all told once and in time")
    return bool(failed)


if __name__ == "__main__":
    raise SystemExit(main())
