"""Many people at once: rows as an import leaves them, made where they are kept."""

from __future__ import annotations

import psycopg

_PEOPLE = """
INSERT INTO subscribers (environment, id, email, first_name, data, channels, created_at, updated_at)
SELECT 'default', 'person-' || lpad(n::text, 7, '0'), 'person-' || n || '@example.com', 'Person ' || n,
       '{}', '[]', clock_timestamp(), clock_timestamp()
FROM generate_series(0, %s - 1) AS n
ON CONFLICT DO NOTHING"""
#: The first of them by their ids.
FIRST = "person-0000000"


def put(url: str, count: int) -> None:
    """That many subscribers on PostgreSQL, those that are there already among them."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_PEOPLE, [count])
        connection.execute("VACUUM ANALYZE subscribers")
