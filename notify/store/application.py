"""An application's own database, as the workers see it: where its outbox is made, and where rows are taken out."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable

from notify.errors import InvalidInput
from notify.store.tables import notify_outbox
from notify.store.types import Instant, among

#: Seconds and milliseconds after which a server is taken for gone; a URL may say otherwise.
_PATIENCE = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
}
# A worker that was suspended in the middle of a page must not keep its rows from the others.
_TRANSACTION = "SET LOCAL lock_timeout = '5s'; SET LOCAL idle_in_transaction_session_timeout = '60s'"
_WAIT = 5.0

_HEAD = """\
-- The outbox of notify in an application's own database: emit(connection=…) inserts, the workers copy and delete.
-- They find it by NOTIFY_OUTBOX_URLS.
"""
_GRANTS = """\
-- Where others than its owner use it:
--   the application  GRANT INSERT ON notify_outbox TO …;
--   the workers      GRANT SELECT, UPDATE (seq), DELETE ON notify_outbox TO …;  -- UPDATE only locks rows
"""
_DIALECTS: dict[str, tuple[Callable[[], sa.Dialect], str]] = {
    "postgresql": (postgresql.dialect, _HEAD + _GRANTS),
    "sqlite": (sqlite.dialect, _HEAD),
}


def ddl(dialect: str) -> str:
    """What makes the outbox, for an application's own migrations."""
    make, comment = _DIALECTS[dialect]
    statement = str(CreateTable(notify_outbox, if_not_exists=True).compile(dialect=make()))
    lines = (line.rstrip().replace("\t", "    ") for line in statement.strip().splitlines())
    return f"{comment}{chr(10).join(lines)};\n"


class Application:
    """One connection to an application's database, opened when it is needed. One thread may use it at a time."""

    def __init__(self, url: str) -> None:
        self.url = sa.make_url(url)
        self._is_sqlite = self.url.get_backend_name() == "sqlite"
        if self._is_sqlite:
            self.url = self.url.set(database=str(Path(self.url.database or "").absolute()))
        self.name = self.url.render_as_string(hide_password=True)
        self._engine = _sqlite_engine(self.url) if self._is_sqlite else _postgresql_engine(self.url)
        self._connection: sa.Connection | None = None
        self._version: int | None = None

    def close(self) -> None:
        """Give the connection back; the next use opens another."""
        connection, self._connection, self._version = self._connection, None, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    @property
    def _open(self) -> sa.Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    # --- making it ------------------------------------------------------------------------------

    def install(self) -> bool:
        """Make the outbox where it is not there yet; whether that was so."""
        with self._engine.begin() as connection:
            look = sa.inspect(connection)
            if look.has_table(notify_outbox.name):
                self._recognise({column["name"] for column in look.get_columns(notify_outbox.name)})
                return False
            connection.execute(CreateTable(notify_outbox, if_not_exists=True))
            return True

    def _recognise(self, found: Collection[str]) -> None:
        lacking = [column.name for column in notify_outbox.columns if column.name not in found]
        if lacking:
            raise InvalidInput(
                field=f"notify_outbox in {self.name}",
                problem=f"has no column {', '.join(lacking)}",
                remedy="It is somebody else's table: rename it, or use another database",
            )

    # --- taking rows out ------------------------------------------------------------------------

    def changed(self) -> bool:
        """Whether anybody else wrote since this was asked last; on PostgreSQL nobody knows, so always."""
        if not self._is_sqlite:
            return True
        before, self._version = self._version, self._open.exec_driver_sql("PRAGMA data_version").scalar_one()
        return before != self._version

    def waiting(self, environment: str, but: Collection[int]) -> bool:
        """Whether a committed row is there, taken by another worker or not, except `but`."""
        found = self._open.execute(_rows([notify_outbox.c.seq], environment, but, 1)).first()
        self._open.rollback()
        return found is not None

    def move(
        self, environment: str, but: Collection[int], limit: int, copy: Callable[[Sequence[Any]], Collection[int]]
    ) -> int:
        """Give `copy` the oldest rows nobody else is moving, and delete those whose `seq` it answers with.

        On PostgreSQL the rows are locked meanwhile. On SQLite a lock would be one on the whole file, and `copy` may
        wait for another database: two workers may copy the same rows there, which changes nothing the second time.
        """
        if not self._is_sqlite:
            self._open.exec_driver_sql(_TRANSACTION)
        page = _rows(_as_text(self._open.dialect.name), environment, but, limit).with_for_update(skip_locked=True)
        rows = self._open.execute(page).all()
        copied = copy(rows) if rows else ()
        if copied:
            self._open.execute(notify_outbox.delete().where(among(notify_outbox.c.seq, copied)))
        self._open.commit()
        return len(rows)


def lacks_outbox(error: Exception) -> bool:
    """Whether this is what a database says that has no `notify_outbox`."""
    cause = getattr(error, "orig", None)
    return getattr(cause, "sqlstate", None) == "42P01" or "no such table: notify_outbox" in str(cause)


def _rows(columns: Sequence[Any], environment: str, but: Collection[int], limit: int) -> sa.Select[Any]:
    query = sa.select(*columns).where(notify_outbox.c.environment == environment)
    query = query.where(sa.not_(among(notify_outbox.c.seq, but))) if but else query
    return query.order_by(notify_outbox.c.seq).limit(limit)


def _as_text(dialect: str) -> list[sa.ColumnElement[Any]]:
    """Every column as a text, so that one that cannot be read spoils nothing but its own row."""
    return [_text(column, dialect).label(column.name) for column in notify_outbox.columns]


def _text(column: sa.Column[Any], dialect: str) -> sa.ColumnElement[Any]:
    if column.name == "seq":
        return column
    if isinstance(column.type, Instant) and dialect == "postgresql":
        return sa.func.to_char(sa.func.timezone("UTC", column), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    return sa.cast(column, sa.Text)


def _postgresql_engine(url: sa.URL) -> sa.Engine:
    patience = {name: value for name, value in _PATIENCE.items() if name not in url.query}
    return sa.create_engine(url, poolclass=sa.NullPool, connect_args=patience)


def _sqlite_engine(url: sa.URL) -> sa.Engine:
    """A file that is there: an application's database is never made by looking for it."""
    name = f"file:{quote(url.database or '')}?mode=rw"

    def opened() -> sqlite3.Connection:
        connection = sqlite3.connect(name, uri=True, timeout=_WAIT, check_same_thread=False)
        connection.text_factory = _decoded
        return connection

    return sa.create_engine("sqlite://", creator=opened, poolclass=sa.NullPool)


def _decoded(text: bytes) -> str:
    """Text that is none is refused where the row is read, instead of with all the rows beside it."""
    return text.decode(errors="surrogateescape")
