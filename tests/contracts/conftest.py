"""What contract tests ask for."""

from __future__ import annotations

import pytest

from tests.world import migrated


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest) -> str:
    """A fresh database of each kind that has the schema."""
    return migrated(request, request.param)
