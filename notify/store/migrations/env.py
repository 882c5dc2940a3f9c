"""Alembic's entry point: the connection comes from whoever upgrades."""

from __future__ import annotations

from alembic import context

from notify.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
