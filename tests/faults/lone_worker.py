"""`python -m tests.faults.lone_worker SECONDS`: works on what is stored, with leases of so many seconds, until killed.

It has no Prefect server, and says `settled` each time it has done all there is to do.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

from notify.engine import local, runtime
from notify.engine.sweep import sweep_rows
from notify.settings import Settings
from tests.faults.machines import lapse


async def main(lease: float) -> None:
    """Settle again and again."""
    engine = runtime.build(Settings.from_env())
    engine.lease = timedelta(seconds=lease)
    while True:
        await sweep_rows(engine)
        await local.settle(engine)
        print("settled", flush=True)
        await lapse(0.05)


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
