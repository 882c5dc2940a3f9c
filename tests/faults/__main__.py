"""`python -m tests.faults --kills 200`: exit code 1 when anything was lost, or done twice without a reason."""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import tempfile
from pathlib import Path

from tests.benchmarks.ending import orderly
from tests.faults import kills

#: Seconds kept for starting everything and for coming to the end.
_ROUND = 240.0


def main() -> int:
    """Kill, compare, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    parser.add_argument("--minutes", type=float, default=20.0, help="how long all of it may take")
    parser.add_argument("--lease", type=float, help="seconds for which workers hold what they claim")
    options = parser.parse_args()
    orderly()
    pause = max((options.minutes * 60 - _ROUND) / options.kills, 0.5)
    plan = kills.Plan(options.kills, options.seed, pause, lease=options.lease)
    with tempfile.TemporaryDirectory(prefix="notify-faults-") as folder:
        result = asyncio.run(kills.run(plan, Path(folder)))
        print("\n".join(result.lines()))
        if not result.clean and result.audit is not None:
            print(result.audit.stdout, result.audit.stderr)
    return 0 if result.clean else 1


if __name__ == "__main__":
    os.environ |= {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    raise SystemExit(main())
