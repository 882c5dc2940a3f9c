"""Whether a worker is alive, asked from outside: a container's health check, a supervisor."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from notify import clock
from notify.engine.context import Engine
from notify.errors import WorkerSilent
from notify.settings import Settings
from notify.store import alarms, schema
from notify.store.database import Database

#: A worker gives a sign every ten seconds; one that missed three is not well.
LIFE = timedelta(seconds=40)


async def give_sign(engine: Engine) -> None:
    """This worker's loop turns and reaches the store, and its flow runs are at work."""
    await engine.write(_sign, engine)


def _sign(connection: sa.Connection, environment: str, engine: Engine) -> None:
    alarms.beat(connection, environment, engine.worker, clock.now())
    alarms.lease(connection, environment, _named(engine.settings), engine.worker, LIFE)


def check(settings: Settings) -> str:
    """A sentence if the worker named in the settings gave a sign of life lately, else WorkerSilent."""
    database = Database(settings.database_url)
    try:
        if not schema.is_current(database) or not _alive(database, settings):
            raise WorkerSilent(name=settings.worker, seconds=int(LIFE.total_seconds()))
    finally:
        database.close()
    return f"{settings.worker} is alive"


def _alive(database: Database, settings: Settings) -> bool:
    with database.read() as connection:
        return alarms.is_held(connection, settings.environment, _named(settings))


def _named(settings: Settings) -> str:
    return f"worker/{settings.worker}"
