"""Column types and expressions that mean the same on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP, UUID
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class Instant(sa.types.TypeDecorator[datetime]):
    """An aware UTC instant to the microsecond; on SQLite a fixed-width ISO 8601 text, which sorts and reads well."""

    impl = sa.String(27)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        return dialect.type_descriptor(TIMESTAMP(timezone=True) if dialect.name == "postgresql" else sa.String(27))

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} is naive; the store takes aware instants only")
        return value if dialect.name == "postgresql" else iso(value)

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:
        """PostgreSQL's driver answers instants as they are."""
        return None if dialect.name == "postgresql" else super().result_processor(dialect, coltype)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        if value is None or isinstance(value, datetime):
            return value
        return datetime.fromisoformat(value)


@lru_cache(1024)
def iso(instant: datetime) -> str:
    """`2026-03-29T01:30:00.000000Z`. Remembered, because the rows of a batch share most of their instants."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"


#: A UUID as a hyphened string in Python and on SQLite, as a native uuid on PostgreSQL.
Id = sa.String(36).with_variant(UUID(as_uuid=False), "postgresql")
#: Any JSON value.
Json = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


class _Array(sa.types.UserDefinedType[str]):
    """A PostgreSQL array in its own notation: the driver takes as long over a list as the server over the rows."""

    cache_ok = True
    render_bind_cast = True

    def __init__(self, item: str) -> None:
        self.item = item

    def get_col_spec(self, **_: Any) -> str:
        return f"{self.item}[]"


class _Many(sa.types.TypeDecorator[list[Any]]):
    """A list sent as one parameter, so that a statement's text does not grow with the batch."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, item: sa.types.TypeEngine[Any]) -> None:
        super().__init__()
        self.item = item

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name == "postgresql":
            return _Array(self.item.compile(dialect))
        return sa.Text()

    def process_bind_param(self, value: list[Any] | None, dialect: sa.Dialect) -> Any:
        if dialect.name == "postgresql":
            return "{" + ",".join(map(_quoted, value or ())) + "}"
        return orjson.dumps(value).decode()


def _quoted(value: Any) -> str:
    if value is None:
        return "NULL"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


class _Condition(FunctionElement[bool]):
    """Stands in a WHERE as it is: SQLAlchemy would write `… = 1` for SQLite, which then looks at every row."""

    inherit_cache = True
    type = sa.Boolean()

    def self_group(self, against: Any = None) -> Any:
        return self


class among(_Condition):
    """`column` is one of `values`: one parameter however many there are."""

    inherit_cache = True
    name = "among"

    def __init__(self, column: sa.ColumnElement[Any], values: Iterable[Any]) -> None:
        super().__init__(column, sa.bindparam(None, list(values), type_=_Many(column.type), unique=True))


@compiles(among, "postgresql")
def _among_postgresql(element: among, compiler: Any, **kw: Any) -> str:
    column, values = list(element.clauses)
    return f"{compiler.process(column, **kw)} = ANY ({compiler.process(values, **kw)})"


@compiles(among, "sqlite")
def _among_sqlite(element: among, compiler: Any, **kw: Any) -> str:
    column, values = list(element.clauses)
    return f"{compiler.process(column, **kw)} IN (SELECT value FROM json_each({compiler.process(values, **kw)}))"


class place(FunctionElement[Any]):
    """Where a row lies."""

    inherit_cache = True
    type = sa.types.NULLTYPE
    name = "place"


@compiles(place, "postgresql")
def _place_postgresql(element: place, compiler: Any, **kw: Any) -> str:
    return "ctid"


@compiles(place, "sqlite")
def _place_sqlite(element: place, compiler: Any, **kw: Any) -> str:
    return "rowid"


class chosen_once(_Condition):
    """A row is one of `rows` of its own table, which are chosen once, before an UPDATE changes anything.

    PostgreSQL may run a plain subquery again for each row it looks at, and `SKIP LOCKED` then chooses other rows each
    time: a limit would not hold. They are found again by their place, not by their keys: where it has no statistics
    yet, it compares every key that was chosen with every row there is. A row that somebody changed between the look
    and the lock has another place, and is left for the next time. `places` is where `rows` name theirs, if they are
    not of the table itself.
    """

    inherit_cache = True
    name = "chosen_once"

    def __init__(self, rows: sa.Select[Any], places: sa.ColumnElement[Any] | None = None) -> None:
        column = place() if places is None else places
        chosen = rows.with_only_columns(column, maintain_column_froms=True).correlate(None)
        super().__init__(chosen.scalar_subquery())


@compiles(chosen_once, "postgresql")
def _chosen_postgresql(element: chosen_once, compiler: Any, **kw: Any) -> str:
    return f"ctid = ANY (ARRAY{compiler.process(*element.clauses, **kw)})"


@compiles(chosen_once, "sqlite")
def _chosen_sqlite(element: chosen_once, compiler: Any, **kw: Any) -> str:
    return f"rowid IN {compiler.process(*element.clauses, **kw)}"


class database_now(FunctionElement[datetime]):
    """The database's own clock plus `ahead`: leases compare instants of one clock whatever the workers' clocks say."""

    inherit_cache = True
    type = Instant()
    name = "database_now"

    def __init__(self, ahead: timedelta = timedelta()) -> None:
        super().__init__(sa.bindparam(None, ahead.total_seconds(), type_=sa.Float(), unique=True))


@compiles(database_now, "postgresql")
def _now_postgresql(element: database_now, compiler: Any, **kw: Any) -> str:
    (seconds,) = list(element.clauses)
    return f"(clock_timestamp() + make_interval(secs => {compiler.process(seconds, **kw)}))"


@compiles(database_now, "sqlite")
def _now_sqlite(element: database_now, compiler: Any, **kw: Any) -> str:
    (seconds,) = list(element.clauses)
    return f"strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', {compiler.process(seconds, **kw)} || ' seconds')"


class seconds_between(FunctionElement[float]):
    """Seconds from the first instant to the second."""

    inherit_cache = True
    type = sa.Float()
    name = "seconds_between"


@compiles(seconds_between, "postgresql")
def _between_postgresql(element: seconds_between, compiler: Any, **kw: Any) -> str:
    start, end = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"EXTRACT(EPOCH FROM ({end} - {start}))::float8"


@compiles(seconds_between, "sqlite")
def _between_sqlite(element: seconds_between, compiler: Any, **kw: Any) -> str:
    start, end = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"(julianday({end}) - julianday({start})) * 86400.0"
