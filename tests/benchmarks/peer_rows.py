"""What a peer keeps in its own tables: people, choices, messages, attempts. Raw psycopg, no layer in between."""

from __future__ import annotations

import psycopg
from psycopg.types.json import Jsonb

from tests.benchmarks import crowd

SCHEMA = """
CREATE TABLE people (id text PRIMARY KEY, email text, first_name text);
CREATE TABLE choices (person text, channel text, enabled boolean NOT NULL, PRIMARY KEY (person, channel));
CREATE TABLE intake (id bigserial PRIMARY KEY, person text NOT NULL, payload jsonb NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(), taken_at timestamptz);
CREATE INDEX ON intake (id) WHERE taken_at IS NULL;
CREATE TABLE messages (id uuid PRIMARY KEY, person text NOT NULL, channel text NOT NULL, status text NOT NULL,
    reason text, content jsonb, address text, provider_message_id text,
    created_at timestamptz NOT NULL DEFAULT now(), sent_at timestamptz);
CREATE TABLE attempts (message uuid, number smallint, started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz, outcome text, provider_message_id text, PRIMARY KEY (message, number));
CREATE INDEX ON messages (person, created_at);
"""
PERSON = """
SELECT p.id, p.email, p.first_name, coalesce(c.enabled, true)
FROM people p LEFT JOIN choices c ON c.person = p.id AND c.channel = %s WHERE p.id = %s"""
WRITTEN = """
INSERT INTO messages (id, person, channel, status, reason, content, sent_at)
VALUES (%(id)s, %(person)s, %(channel)s, %(status)s, %(reason)s, %(content)s, %(sent_at)s) ON CONFLICT DO NOTHING"""
ABOUT_TO_CALL = """
WITH m AS (INSERT INTO messages (id, person, channel, status, content, address)
           VALUES (%(id)s, %(person)s, 'email', 'queued', %(content)s, %(address)s) ON CONFLICT DO NOTHING)
INSERT INTO attempts (message, number) VALUES (%(id)s, 1) ON CONFLICT DO NOTHING"""
ANSWERED = """
WITH a AS (UPDATE attempts SET finished_at = now(), outcome = 'accepted', provider_message_id = %(provider)s
           WHERE message = %(id)s AND number = 1)
UPDATE messages SET status = 'sent', sent_at = now(), provider_message_id = %(provider)s WHERE id = %(id)s"""


def prepare(url: str, people: list[str]) -> None:
    """The tables, and everybody in them."""
    with psycopg.connect(url) as connection:
        connection.execute(SCHEMA.encode())
        with connection.cursor() as cursor:
            rows = [(person, crowd.address(person), person.title()) for person in people]
            cursor.executemany("INSERT INTO people VALUES (%s, %s, %s)", rows)
            unwanted = [(person,) for person in people if not crowd.wants_email(person)]
            cursor.executemany("INSERT INTO choices VALUES (%s, 'email', false)", unwanted)


def forget(url: str) -> None:
    """Before a run: no messages."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE intake, messages, attempts")


def counted(connection: psycopg.Connection) -> tuple[int, int]:
    """Messages sent by e-mail, and messages in all."""
    query = "SELECT count(*) FILTER (WHERE channel = 'email' AND status = 'sent'), count(*) FROM messages"
    found = connection.execute(query).fetchone()
    assert found is not None
    return found[0], found[1]


def json(value: object) -> Jsonb:
    """A value for a jsonb column."""
    return Jsonb(value)
