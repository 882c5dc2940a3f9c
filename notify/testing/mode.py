"""Who drives the rehearsals of this process. The pytest plugin may say so before anything else is loaded."""

from __future__ import annotations

import os

VARIABLE, PREFECT = "NOTIFY_REHEARSE", "prefect"

#: Whether flow runs of a real Prefect server do the work, in place of this process's own loop.
through_prefect = os.environ.get(VARIABLE) == PREFECT
