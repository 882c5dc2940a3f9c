"""The schema's releases: what a database has, and bringing it up to date."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from notify.errors import StoreTooNew
from notify.store.database import Database

#: Any number of our own: PostgreSQL lets one upgrade run at a time under it.
_LOCK = 7_310_594_116


def upgrade(database: Database) -> str:
    """Bring the schema up to date, once however many processes try; returns its revision."""
    if is_current(database):
        return _head()
    with database.write() as connection:
        if not database.is_sqlite:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        _refuse_newer(connection)
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return _head()


def is_current(database: Database) -> bool:
    """Whether the database has the schema of this release."""
    with database.read() as connection:
        return MigrationContext.configure(connection).get_current_revision() == _head()


def exists(database: Database) -> bool:
    """Whether the database has any release's schema."""
    with database.read() as connection:
        return MigrationContext.configure(connection).get_current_revision() is not None


def _refuse_newer(connection: sa.Connection) -> None:
    current = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if current is not None and current not in known:
        raise StoreTooNew(revision=current)


@cache
def _head() -> str:
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
