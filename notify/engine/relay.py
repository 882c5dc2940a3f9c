"""The relay: what applications wrote into the outbox of their own database is copied to the store.

Each database has a thread of its own, so that one which hangs holds up neither the others nor the worker. Ids commit
out of order, so there is no cursor: a row is deleted when it is stored, and until then it is there. A row copied twice
is stored once, because its uid is the event's key.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from notify import clock, intake
from notify.engine.context import Engine
from notify.errors import InvalidInput, NoSuchOutbox
from notify.model import Event
from notify.store import events
from notify.store.application import Application, lacks_outbox
from notify.store.database import Database

log = logging.getLogger("notify.relay")
#: Rows copied in one transaction.
PAGE = 1000
#: Seconds between looks when lately busy, when quiet, and how long "lately" is.
BUSY, QUIET, LATELY = 0.05, 0.2, 5.0
#: Seconds before a database that cannot be used is met again, and given to a copy that is under way at the end.
PATIENCE, PARTING = 1.0, 5.0
#: What a database says to a row, and not of itself.
_UNFIT = (exc.DataError, exc.IntegrityError, ValueError, TypeError)


class Relay:
    """Copies from one application's database. `turn` does what is to be done now; `serve` does so until `stop`."""

    def __init__(self, application: Application, store: Database, environment: str) -> None:
        self.application = application
        self.store = store
        self.environment = environment
        #: Rows that cannot be stored, by `seq`. They stay where they are, and were reported.
        self.refused: set[int] = set()
        #: Whether rows may wait that could be copied: not once it looked and found none, nor while it cannot look.
        self.waiting = True
        self._trouble = ""
        self._stopped = threading.Event()

    # --- one look -------------------------------------------------------------------------------

    def turn(self) -> int:
        """Copy one page; returns how many rows it had."""
        if not self.application.changed() and not self.waiting:
            return 0
        self.waiting = self.application.waiting(self.environment, self.refused)
        if not self.waiting:
            return 0
        return self.application.move(self.environment, self.refused, PAGE, self._copy)

    def _copy(self, rows: Sequence[Any]) -> list[int]:
        """Store the rows in one transaction of the store; answers the `seq` of those that are stored."""
        fit = {row.seq: event for row in rows if (event := self._parsed(row)) is not None}
        try:
            self._store(list(fit.values()))
        except _UNFIT:
            return [seq for seq, event in fit.items() if self._stored_alone(seq, event)]
        return list(fit)

    def _parsed(self, row: Any) -> Event | None:
        try:
            return intake.parse_row(row._mapping, clock.now())
        except InvalidInput as error:
            self._refuse(row.seq, error)
            return None

    def _store(self, batch: Sequence[Event]) -> None:
        def accept(connection: sa.Connection) -> None:
            events.accept(connection, self.environment, batch)

        self.store.transact(accept)

    def _stored_alone(self, seq: int, event: Event) -> bool:
        try:
            self._store([event])
        except _UNFIT as error:
            self._refuse(seq, error)
            return False
        return True

    def _refuse(self, seq: int, error: Exception) -> None:
        self.refused.add(seq)
        log.error(
            "row %d of notify_outbox in %s cannot be stored and stays there: %s (delete it, or correct it and start "
            "the worker again)",
            seq,
            self.application.name,
            str(error).splitlines()[0],
        )

    # --- again and again ------------------------------------------------------------------------

    def serve(self, copied: Callable[[], None]) -> None:
        """Look until stopped, and call `copied` after a page that had rows."""
        busy_at = -LATELY
        while not self._stopped.is_set():
            try:
                found = self.turn()
            except Exception as error:
                self._failed(error)
                self._stopped.wait(PATIENCE)
                continue
            self._recovered()
            if found:
                busy_at = time.monotonic()
                copied()
            if found < PAGE:
                self._stopped.wait(BUSY if time.monotonic() - busy_at < LATELY else QUIET)
        self.application.close()

    def stop(self) -> None:
        """Start no further page."""
        self._stopped.set()

    def _failed(self, error: Exception) -> None:
        """Said once, until something else is wrong or it works again."""
        self.waiting = False
        words = _named(error, self.application.name)
        self.application.close()
        if words != self._trouble:
            log.warning("the outbox in %s cannot be copied, trying again: %s", self.application.name, words)
        self._trouble = words

    def _recovered(self) -> None:
        if self._trouble:
            log.warning("the outbox in %s is copied again", self.application.name)
        self._trouble = ""


def _named(error: Exception, url: str) -> str:
    if lacks_outbox(error):
        return str(NoSuchOutbox(url=url))
    return " ".join(str(error.orig if isinstance(error, exc.DBAPIError) else error).split())


@asynccontextmanager
async def relaying(engine: Engine) -> AsyncGenerator[Sequence[Relay]]:
    """Copy from every database that `NOTIFY_OUTBOX_URLS` names while the block runs."""
    relays = [Relay(Application(url), engine.database, engine.environment) for url in engine.settings.outboxes]
    loop = asyncio.get_running_loop()

    def ring() -> None:
        with suppress(RuntimeError):  # a copy that was under way when the worker ended finds no loop
            loop.call_soon_threadsafe(engine.bell.set)

    threads = [threading.Thread(target=one.serve, args=(ring,), name="notify-relay", daemon=True) for one in relays]
    engine.nothing_elsewhere = lambda: not any(one.waiting for one in relays)
    for thread in threads:
        thread.start()
    try:
        yield relays
    finally:
        for one in relays:
            one.stop()
        deadline = time.monotonic() + PARTING
        for thread in threads:
            await asyncio.to_thread(thread.join, max(0.0, deadline - time.monotonic()))
