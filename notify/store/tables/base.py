"""What every table shares. `environment` leads every key: an environment is an isolated world."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def environment() -> sa.Column[str]:
    """The first column of every key."""
    return sa.Column("environment", sa.String(50), nullable=False, primary_key=True)


def key(name: str, type_: Any = sa.Text) -> sa.Column[Any]:
    """A column of the primary key."""
    return sa.Column(name, type_, nullable=False, primary_key=True)


def partial_index(name: str, *columns: sa.ColumnElement[Any] | str, where: str, unique: bool = False) -> sa.Index:
    """An index over the rows that satisfy `where`."""
    condition = sa.text(where)
    return sa.Index(name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition)
