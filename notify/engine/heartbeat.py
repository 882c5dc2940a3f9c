"""A sign of life for claims, from a thread: a busy loop must not lose what it holds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager

import sqlalchemy as sa

from notify import clock
from notify.engine.context import Engine
from notify.store import alarms, messages, notifications

log = logging.getLogger("notify.heartbeat")


@contextmanager
def heartbeat(engine: Engine, token: str) -> Generator[None]:
    """Renew everything claimed under `token`, at a third of the lease, while the block runs."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(engine.lease.total_seconds() / 3):
            try:
                engine.database.transact(lambda connection: _renew(connection, engine, token))
            except Exception:
                log.warning("the claim could not be renewed; trying again", exc_info=True)

    threading.Thread(target=beat, name="notify-heartbeat", daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _renew(connection: sa.Connection, engine: Engine, token: str) -> None:
    notifications.renew(connection, engine.environment, token, engine.lease)
    messages.extend(connection, engine.environment, token, engine.lease)
    # A flow run in a process of its own has nobody else to say that it is alive.
    alarms.beat(connection, engine.environment, engine.worker, clock.now())
