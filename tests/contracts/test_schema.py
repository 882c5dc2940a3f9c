"""The schema on both databases: what migrations make, upgrading, and a database that cannot be used."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from notify.cli import app
from notify.client import Notify
from notify.errors import NotifyError, StoreNotWritable, StoreTooNew, StoreUnavailable
from notify.settings import Settings
from notify.store import schema
from notify.store.database import Database
from notify.store.tables import metadata

#: Their keys belong to no environment.
OUTSIDE = {"outbox", "installation", "alembic_version"}


@pytest.fixture
def other_url(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> str:
    """A second empty database of the same kind."""
    if database_url.startswith("sqlite"):
        return f"sqlite:///{tmp_path / 'other.db'}"
    make: Callable[..., str] = request.getfixturevalue("make_database")
    return make()


def described(url: str) -> dict[str, Any]:
    """Columns and keys of every table."""
    engine = sa.create_engine(url)
    look = sa.inspect(engine)
    found = {
        table: {
            "columns": {
                one["name"]: (str(one["type"]), one["nullable"], one.get("default")) for one in look.get_columns(table)
            },
            "key": look.get_pk_constraint(table),
            "unique": look.get_unique_constraints(table),
            "foreign": look.get_foreign_keys(table),
        }
        for table in look.get_table_names()
        if table != "alembic_version"
    }
    engine.dispose()
    return found


def indexes(url: str) -> dict[str, str]:
    """Every index as the database itself writes it, conditions and expressions included, by name."""
    engine = sa.create_engine(url)
    query = (
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        if engine.dialect.name == "sqlite"
        else "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
    )
    with engine.connect() as connection:
        found = {name: re.sub(r"\s+", " ", text) for name, text in connection.execute(sa.text(query))}
    engine.dispose()
    return {name: text for name, text in found.items() if "alembic" not in name}


def upgraded(url: str) -> str:
    database = Database(url)
    try:
        return schema.upgrade(database)
    finally:
        database.close()


def notify(url: str, folder: Path) -> Notify:
    return Notify(Settings(home=folder, database_url=url, flows=folder))


def create_from_tables(url: str) -> None:
    engine = sa.create_engine(url)
    metadata.create_all(engine)
    engine.dispose()


def test_migrations_make_exactly_what_the_tables_say(database_url: str, other_url: str) -> None:
    upgraded(database_url)
    create_from_tables(other_url)

    assert set(described(database_url)) == set(metadata.tables)
    assert described(database_url) == described(other_url)


def test_migrations_make_exactly_the_indexes_of_the_tables(database_url: str, other_url: str) -> None:
    upgraded(database_url)
    create_from_tables(other_url)

    named = {index.name for table in metadata.tables.values() for index in table.indexes}
    assert named <= set(indexes(database_url))
    assert indexes(database_url) == indexes(other_url)


def test_the_environment_leads_every_key(database_url: str) -> None:
    upgraded(database_url)

    engine = sa.create_engine(database_url)
    look = sa.inspect(engine)
    keys: dict[str, list[Any]] = {}
    for table in set(look.get_table_names()) - OUTSIDE:
        unique = [one["column_names"] for one in look.get_indexes(table) if one["unique"]]
        unique += [one["column_names"] for one in look.get_unique_constraints(table)]
        keys[table] = [look.get_pk_constraint(table)["constrained_columns"], *unique]
    outbox = look.get_pk_constraint("outbox")["constrained_columns"]
    engine.dispose()

    assert {table: found for table, found in keys.items() if any(key[0] != "environment" for key in found)} == {}
    assert outbox == ["seq"]


def test_an_application_s_insert_cannot_fail_for_a_reason_of_ours(database_url: str) -> None:
    upgraded(database_url)

    outbox = described(database_url)["outbox"]

    assert (outbox["unique"], outbox["foreign"]) == ([], [])
    assert [text for text in indexes(database_url).values() if "outbox" in text and "pk_outbox" not in text] == []


def test_upgrading_twice_changes_nothing(database_url: str) -> None:
    first = upgraded(database_url)
    before = described(database_url), indexes(database_url)

    assert upgraded(database_url) == first
    assert (described(database_url), indexes(database_url)) == before


def test_several_may_upgrade_an_empty_database_at_once(database_url: str, other_url: str) -> None:
    together = Barrier(4)

    def start(_: int) -> str:
        together.wait()
        return upgraded(database_url)

    with ThreadPoolExecutor(4) as threads:
        revisions = set(threads.map(start, range(4)))

    assert len(revisions) == 1
    create_from_tables(other_url)
    assert described(database_url) == described(other_url)


def test_a_database_of_a_newer_version_is_left_alone(database_url: str, tmp_path: Path) -> None:
    upgraded(database_url)
    engine = sa.create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    before = described(database_url)

    with pytest.raises(StoreTooNew, match="9999"):
        notify(database_url, tmp_path)

    assert described(database_url) == before
    engine.dispose()


def test_upgrading_by_command_twice_says_the_same_and_an_older_program_says_what_to_do(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_DATABASE_URL", sqlite_url)
    first, second = (CliRunner().invoke(app, ["db", "upgrade"]) for _ in range(2))
    engine = sa.create_engine(sqlite_url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()

    refused = CliRunner().invoke(app, ["db", "upgrade"])

    assert (first.exit_code, first.output) == (0, second.output)
    assert refused.exit_code == 1
    assert refused.output.startswith("notify: The database was made by a newer version (9999). Upgrade the package")


def one_line(error: NotifyError) -> str:
    assert "\n" not in str(error)
    return str(error)


@pytest.mark.parametrize("host", ["127.0.0.1:1", "/nowhere"])
def test_a_server_that_does_not_answer_is_named_without_its_password(host: str, tmp_path: Path) -> None:
    where = f"@{host}/notify" if ":" in host else f"@/notify?host={host}"

    with pytest.raises(StoreUnavailable) as caught:
        notify(f"postgresql+psycopg://ann:s3cr3t{where}", tmp_path)

    message = one_line(caught.value)
    assert host.partition(":")[0] in message
    assert "s3cr3t" not in message
    assert "NOTIFY_DATABASE_URL" in message


def test_a_database_that_does_not_exist_is_named(postgres_url: str, tmp_path: Path) -> None:
    url = sa.make_url(postgres_url).set(database="nowhere").render_as_string(hide_password=False)

    with pytest.raises(StoreUnavailable) as caught:
        notify(url, tmp_path)

    assert "nowhere" in one_line(caught.value)


@pytest.mark.parametrize("place", ["file/notify.db", "file/deeper/notify.db"])
def test_a_folder_that_cannot_be_made_is_named(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(StoreNotWritable) as caught:
        notify(f"sqlite:///{tmp_path / place}", tmp_path)

    assert str((tmp_path / place).parent) in one_line(caught.value)
    assert "NOTIFY_HOME" in str(caught.value)


def test_a_folder_in_the_place_of_the_file_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "notify.db").mkdir()

    with pytest.raises(StoreNotWritable) as caught:
        notify(f"sqlite:///{tmp_path / 'notify.db'}", tmp_path)

    one_line(caught.value)


def test_a_file_that_is_no_database_is_said_to_be_unusable(tmp_path: Path) -> None:
    (tmp_path / "notify.db").write_text("a shopping list, long enough to be looked at\n" * 50)

    with pytest.raises(StoreUnavailable) as caught:
        notify(f"sqlite:///{tmp_path / 'notify.db'}", tmp_path)

    one_line(caught.value)
