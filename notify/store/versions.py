"""The texts a workflow's templates had: what a waiting notification started with is what it is sent with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from notify.store.bulk import Row, insert_new
from notify.store.tables import versions

_V = versions.c


def keep(connection: sa.Connection, environment: str, rows: Sequence[Row]) -> None:
    """Keep rows of `workflow`, `version`, `templates`, `created_at`; a version that is kept stays as it is."""
    insert_new(connection, versions, [row | {"environment": environment} for row in rows])


def load(connection: sa.Connection, environment: str, workflow: str, version: str) -> Mapping[str, str] | None:
    """The template files of one version, by name."""
    query = sa.select(_V.templates).where(_V.environment == environment, _V.workflow == workflow, _V.version == version)
    return connection.execute(query).scalar()
