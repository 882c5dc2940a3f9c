"""Values within columns of JSON, compared by the database."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import getitem
from typing import Any

import orjson
import sqlalchemy as sa

from notify.store.types import among


def may_have(
    connection: sa.Connection, column: sa.Column[Any], path: str, values: Sequence[Any]
) -> sa.ColumnElement[bool]:
    """Whether one of these values stands at a dotted path: where it does, in any case.

    PostgreSQL answers exactly that. To SQLite true is 1, null is what is missing, and any object or list may be meant.
    """
    names = path.split(".")
    if connection.dialect.name == "postgresql":
        return among(reduce(getitem, names, column), [orjson.dumps(value).decode() for value in values])
    if any(isinstance(value, dict | list) for value in values):
        return sa.true()
    there = column[tuple(names)].as_string()
    return sa.or_(among(there, values), *([there.is_(None)] if None in values else []))
