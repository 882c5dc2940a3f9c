"""Signs of life: what a health check is told, and what keeps a flow run from being taken for lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from notify.engine.heartbeat import heartbeat
from notify.engine.life import check, give_sign
from notify.errors import InvalidSetting, WorkerSilent
from notify.model import new_id
from notify.settings import Settings
from notify.store import alarms
from notify.store.database import Database
from notify.store.tables import flow_runs, leases
from tests.eventually import eventually_sync
from tests.world import START, World, migrated


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, migrated(request, request.param)) as made:
        yield made


def _silent(world: World) -> bool:
    with pytest.raises(WorkerSilent, match=f"{world.settings.worker!r} has given a sign of life"):
        check(world.settings)
    return True


def test_a_worker_is_alive_from_its_first_sign_until_it_ends(world: World) -> None:
    assert _silent(world)

    asyncio.run(give_sign(world.engine))
    assert check(world.settings) == f"{world.settings.worker} is alive"

    with world.engine.database.write() as connection:
        alarms.give_up(connection, world.settings.environment, world.engine.worker)
    assert _silent(world)


def test_a_worker_that_stopped_giving_signs_is_silent(world: World) -> None:
    asyncio.run(give_sign(world.engine))
    with world.engine.database.write() as connection:
        connection.execute(leases.update().values(until=START - timedelta(days=400)))

    assert _silent(world)


def test_each_worker_is_asked_for_by_its_name(world: World) -> None:
    asyncio.run(give_sign(world.engine))

    with pytest.raises(WorkerSilent, match="'another'"):
        check(replace(world.settings, worker="another"))


def test_asking_changes_no_database_that_has_no_schema_yet(tmp_path: Path, database_url: str) -> None:
    with pytest.raises(WorkerSilent):
        check(Settings(home=tmp_path, database_url=database_url, flows=tmp_path))

    database = Database(database_url)
    tables = sa.inspect(database.engines[0]).get_table_names()
    database.close()
    assert tables == []


def test_a_run_in_a_process_of_its_own_says_that_it_is_alive_while_it_works(world: World) -> None:
    engine = replace(world.engine, lease=timedelta(milliseconds=30))
    with engine.database.write() as connection:
        alarms.working(connection, engine.environment, "any", new_id(), engine.worker, START - timedelta(hours=1))
    beaten = sa.select(flow_runs.c.heartbeat_at)

    with heartbeat(engine, new_id()):
        eventually_sync(lambda: world.rows(beaten)[0][0] == START, "its heart beats")


def test_a_name_that_prefect_does_not_take_is_refused() -> None:
    with pytest.raises(InvalidSetting, match=r"NOTIFY_WORKER='a/b': .* slash"):
        Settings.from_env({"NOTIFY_WORKER": "a/b"})
