"""How this process reaches a Prefect server, set before Prefect is imported: it reads its settings only once."""

from __future__ import annotations

import logging
import os
from importlib import import_module
from pathlib import Path

#: What keeps Prefect's own words out of the terminal; they go to a file.
_QUIET = {
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_CLIENT_METRICS_ENABLED": "false",
    "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "false",
    "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
}


def use_prefect(api_url: str, home: Path) -> None:
    """Point this process at a server. The user's own Prefect profile is neither read nor changed."""
    os.environ["PREFECT_API_URL"] = api_url
    os.environ.setdefault("PREFECT_HOME", str(home / "prefect"))
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    home.mkdir(parents=True, exist_ok=True)
    _log_to(home / "prefect.log")


def _log_to(file: Path) -> None:
    import_module("prefect.context").refresh_global_settings_context()
    import_module("prefect.logging.configuration").setup_logging(incremental=False)
    handler = logging.FileHandler(file, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s  %(message)s"))
    for name in ("", *logging.root.manager.loggerDict):
        logger = logging.getLogger(name)
        console = [one for one in logger.handlers if type(one).__name__ in ("PrefectConsoleHandler", "StreamHandler")]
        for one in console:
            logger.removeHandler(one)
        if console or name == "":
            logger.addHandler(handler)
