"""Where the list of deployments lies."""

from __future__ import annotations

from pathlib import Path

from notify.settings import shipped_flows


def find_list(flows: Path) -> Path:
    """The `prefect.yaml` beside the workflows' folder, or within it where the package ships both."""
    beside = flows.parent / "prefect.yaml"
    within = flows / "prefect.yaml"
    return within if flows == shipped_flows() and within.is_file() else beside
