"""Many rows in one statement, handed over as one JSON parameter.

A statement's text does not grow with the batch, so the database plans it once, and a thousand small rows cost one
round trip. Instants travel as ISO 8601 texts; a column that a row does not name is NULL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from notify.store.types import iso

T = TypeVar("T")
Row = dict[str, Any]
#: Bytes of rows in one statement: a connection keeps, for good, a buffer for the largest it ever sent.
LARGEST = 2**19
_NOTHING = "ON CONFLICT DO NOTHING"
#: The database's clock plus a lease, as `types.database_now` writes it.
_LEASE_UNTIL = {
    "postgresql": "clock_timestamp() + make_interval(secs => :lease)",
    "sqlite": "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', :lease || ' seconds')",
}


def insert(connection: sa.Connection, table: sa.Table) -> Any:
    """The dialect's own INSERT of single rows, which knows ON CONFLICT."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def insert_new(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert what is not there yet; a row whose key exists is left as it is."""
    if rows:
        connection.execute(_insert(connection.dialect.name, table, _NOTHING), {"rows": packed(rows)})


def insert_returning(
    connection: sa.Connection,
    table: sa.Table,
    rows: Sequence[Row],
    column: sa.Column[T],
    *,
    lease: timedelta | None = None,
    token: str | None = None,
) -> set[T]:
    """Like `insert_new`; returns `column` of the rows that were new. `lease` sets their `lease_until`.

    With a `token` only those go in whose `notification` is held under it, and it stays so until the transaction ends.
    Who leaves a notification as it is shares the lock with others who do. The rows are of one environment.
    """
    statement = _insert(connection.dialect.name, table, _NOTHING, column, leased=lease is not None, fenced=bool(token))
    new: set[T] = set()
    for some, parameter in _pages(rows):
        values: Row = {"rows": parameter} | ({"lease": lease.total_seconds()} if lease else {})
        if token is not None:
            ids = orjson.dumps([row["notification"] for row in some]).decode()
            values |= {"token": token, "ids": ids, "environment": some[0]["environment"]}
        new.update(connection.execute(statement, values).scalars())
    return new


def upsert(
    connection: sa.Connection, table: sa.Table, rows: Sequence[Row], update: Sequence[str], *, where: str = ""
) -> None:
    """Insert, or set the columns named in `update` where the key exists and `where` holds of the stored row."""
    if rows:
        keys = ", ".join(f'"{column.name}"' for column in table.primary_key)
        changes = ", ".join(f'"{name}" = excluded."{name}"' for name in update)
        conflict = f"ON CONFLICT ({keys}) DO UPDATE SET {changes}" + (f" WHERE {where}" if where else "")
        connection.execute(_insert(connection.dialect.name, table, conflict), {"rows": packed(rows)})


@lru_cache
def statement_returning(dialect: sa.Dialect, table: sa.Table, column: sa.Column[Any]) -> str:
    """What `insert_returning` executes, for the driver's own cursor; the parameter `rows` is what `packed` gives."""
    return str(_insert(dialect.name, table, _NOTHING, column).compile(dialect=dialect))


@lru_cache
def _insert(
    dialect: str,
    table: sa.Table,
    conflict: str,
    returning: sa.Column[Any] | None = None,
    *,
    leased: bool = False,
    fenced: bool = False,
) -> Any:
    columns = [column for column in table.columns if table.autoincrement_column is not column]
    names = ", ".join(f'"{column.name}"' for column in columns)
    values = ", ".join(
        _LEASE_UNTIL[dialect] if leased and column.name == "lease_until" else _value(dialect, column)
        for column in columns
    )
    source = "json_each(:rows)"
    if dialect == "postgresql":
        source = f'json_populate_recordset(CAST(NULL AS "{table.name}"), CAST(:rows AS json))'
    # A WHERE in any case: without one SQLite's parser takes ON CONFLICT for a join condition.
    held, only = "", "true"
    if fenced:
        held, only = _held(dialect), f"{_value(dialect, table.c.notification)} IN (SELECT id FROM held)"
    words = f'{held} INSERT INTO "{table.name}" ({names}) SELECT {values} FROM {source} AS r WHERE {only} {conflict}'
    if returning is None:
        return sa.text(words)
    return sa.text(f'{words} RETURNING "{returning.name}"').columns(sa.column(returning.name, returning.type))


def _held(dialect: str) -> str:
    """Which of the notifications `ids` are held under `token`: chosen first, by their key, and locked in its order."""
    mine = "n.environment = :environment AND n.claim = :token AND n.status = 'running'"
    if dialect == "sqlite":
        return (
            f"WITH held AS (SELECT n.id FROM notifications AS n, json_each(:ids) AS i WHERE n.id = i.value AND {mine})"
        )
    ids = "ARRAY(SELECT CAST(json_array_elements_text(CAST(:ids AS json)) AS uuid))"
    chosen = f"SELECT n.id FROM notifications AS n WHERE n.id = ANY ({ids}) AND {mine} ORDER BY n.id FOR SHARE"
    return f"WITH held AS MATERIALIZED ({chosen})"


def _value(dialect: str, column: sa.Column[Any]) -> str:
    return f'r."{column.name}"' if dialect == "postgresql" else _extracted(column)


def _extracted(column: sa.Column[Any]) -> str:
    if isinstance(column.type, sa.JSON):
        return f"nullif(r.value -> '$.\"{column.name}\"', 'null')"
    return f"r.value ->> '$.\"{column.name}\"'"


def given(connection: sa.Connection, table: sa.Table, rows: Sequence[Row], *names: str) -> Any:
    """The rows as a FROM item `given` with the columns `names` of `table`, to be joined in an UPDATE or a SELECT."""
    columns = [sa.column(name, table.c[name].type) for name in names]
    if connection.dialect.name == "postgresql":
        record: sa.ColumnElement[Any] = sa.literal_column(f'CAST(NULL AS "{table.name}")')
        found = sa.func.json_populate_recordset(record, sa.cast(sa.literal(packed(rows), sa.Text), postgresql.JSON))
        return found.table_valued(*columns, name="given")
    each = sa.func.json_each(sa.literal(packed(rows), sa.Text)).table_valued("value")
    picked = [sa.literal_column(_extracted(table.c[name]), table.c[name].type).label(name) for name in names]
    # Materialised, because SQLite would read the JSON again for each row of the table it joins.
    return sa.select(*picked).select_from(each.alias("r")).cte("given").prefix_with("MATERIALIZED")


def packed(rows: Sequence[Row]) -> str:
    """The rows as one parameter."""
    return _json(rows).decode()


def _pages(rows: Sequence[Row]) -> Iterator[tuple[Sequence[Row], str]]:
    """The rows in pages, each with its parameter, no larger than LARGEST unless a single row is."""
    start, size = 0, 0
    page: list[bytes] = []
    for place, row in enumerate(rows):
        one = _json(row)
        if page and size + len(one) > LARGEST:
            yield rows[start:place], f"[{b','.join(page).decode()}]"
            start, size, page = place, 0, []
        page.append(one)
        size += len(one)
    if page:
        yield rows[start:], f"[{b','.join(page).decode()}]"


def _json(value: Row | Sequence[Row]) -> bytes:
    return orjson.dumps(value, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME)


def _plain(value: Any) -> Any:
    return iso(value) if isinstance(value, datetime) else str(value)
