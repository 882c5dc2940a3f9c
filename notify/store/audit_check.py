"""What a check of the audit is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

#: A SELECT of any columns.
Query = sa.Select[Any]


@dataclass(frozen=True, slots=True)
class Check:
    """A query whose every row is a finding: its columns name the rows and fill the sentence and the remedy."""

    kind: str
    query: Query
    sentence: str
    remedy: str
    #: False for what is listed and breaks no promise.
    breaks: bool = True
