"""`python -m tests.faults.worker SECONDS work …`: the `notify` command with leases of so many seconds.

What a killed worker held is taken up a minute later, which is longer than a test may last.
"""

from __future__ import annotations

import sys
from datetime import timedelta

from notify import cli
from notify.engine import conductor, match, runtime
from notify.engine.context import Engine
from notify.settings import Settings

_build = runtime.build


def impatient(seconds: float) -> None:
    """Let everything that is held in this process be held for `seconds` only."""
    length = timedelta(seconds=seconds)

    def build(settings: Settings) -> Engine:
        engine = _build(settings)
        engine.lease = length
        return engine

    for module, name, value in ((conductor, "SWEEP", seconds), (match, "_LEASE", length), (runtime, "build", build)):
        setattr(module, name, value)


if __name__ == "__main__":
    impatient(float(sys.argv.pop(1)))
    cli.main()
