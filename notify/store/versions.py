"""What workflows were: the version an author named, the steps the source showed, the texts the templates had.

What a waiting notification started with is what it is sent with.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sa

from notify.store.bulk import Row, insert_new
from notify.store.tables import versions
from notify.store.types import among

_V = versions.c


def keep(connection: sa.Connection, environment: str, rows: Sequence[Row]) -> None:
    """Keep rows of `workflow`, `version`, `named`, `steps`, `templates`, `created_at`; what is kept stays as it is."""
    insert_new(connection, versions, [row | {"environment": environment} for row in rows])


def load(connection: sa.Connection, environment: str, workflow: str, version: str) -> Mapping[str, str] | None:
    """The template files of one version, by name."""
    query = sa.select(_V.templates).where(_V.environment == environment, _V.workflow == workflow, _V.version == version)
    return connection.execute(query).scalar()


def named(connection: sa.Connection, environment: str, workflow: str, ids: Collection[str]) -> dict[str, str]:
    """What the author had named each of these versions; '' where nothing."""
    query = sa.select(_V.version, _V.named).where(
        _V.environment == environment, _V.workflow == workflow, among(_V.version, sorted(ids))
    )
    return {row.version: row.named or "" for row in connection.execute(query)}
