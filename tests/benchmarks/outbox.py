"""What emitting in its own transaction costs an application: `python -m tests.benchmarks.outbox`.

A transaction inserts an order and its line and commits. Beside it, in the same run: the same with an equal outbox row
inserted by hand, with plain psycopg, and the same with `emit(connection=…)`. The database is the application's own; the
store is another one of the same PostgreSQL, with fsync and synchronous_commit on. Blocks of the three take turns, each
connection is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import platform
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa

from notify.client import Notify
from notify.engine.relay import Relay
from notify.settings import Settings
from notify.store import schema
from notify.store.application import Application
from notify.store.database import Database
from tests.databases import Databases
from tests.postgres import Server

ORDER = "INSERT INTO orders (id, customer, total) VALUES (%s, %s, %s)"
LINE = "INSERT INTO lines (order_id, article, count) VALUES (%s, %s, %s)"
TABLES = """
CREATE TABLE orders (id uuid PRIMARY KEY, customer text NOT NULL, total int NOT NULL);
CREATE TABLE lines (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, order_id uuid NOT NULL, article text, count int)
"""
BY_HAND = """
INSERT INTO notify_outbox (environment, uid, kind, name, id, ts, received_at, data)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""
VARIANTS = ("no outbox row", "by hand", "emit")
Write = Callable[[psycopg.Connection[Any], str], None]
fork = multiprocessing.get_context("fork")


def data(order: str) -> dict[str, Any]:
    return {"orderId": order, "customer": "ann", "total": 1250, "articles": ["a-1", "b-2"]}


def by_hand(connection: psycopg.Connection[Any], order: str) -> None:
    now = datetime.now(UTC)
    values = ("default", str(uuid.uuid4()), "event", "order/placed", order, now, now, json.dumps(data(order)))
    connection.execute(BY_HAND, values)


def application(url: str, store: str, flows: str, pipe: Connection) -> None:
    """One process with one connection: told a variant and when to begin and to end, it says how many it committed."""
    plain = sa.make_url(url).set(drivername="postgresql").render_as_string()
    with (
        Notify(Settings(home=Path(flows), database_url=store, flows=Path(flows))) as notify,
        psycopg.connect(plain) as connection,
    ):

        def emit(connection: psycopg.Connection[Any], order: str) -> None:
            notify.emit("order/placed", data(order), id=order, connection=connection)

        writes: dict[str, Write] = {"no outbox row": lambda *_: None, "by hand": by_hand, "emit": emit}
        for write in writes.values():
            block(connection, write, time.monotonic() + 0.5)
        pipe.send("ready")
        while (told := pipe.recv()) is not None:
            variant, begin, end = told
            threading.Event().wait(max(0.0, begin - time.monotonic()))
            pipe.send(block(connection, writes[variant], end))


def block(connection: psycopg.Connection[Any], write: Write, end: float) -> int:
    count = 0
    while time.monotonic() < end:
        order = str(uuid.uuid4())
        connection.execute(ORDER, (order, "ann", 1250))
        connection.execute(LINE, (order, "a-1", 2))
        write(connection, order)
        connection.commit()
        count += 1
    return count


def relay(url: str, store: str) -> None:
    """A worker's thread, in a process of its own."""
    logging.disable(logging.CRITICAL)
    Relay(Application(url), Database(store), "default").serve(lambda: None)


def measured(url: str, store: str, connections: int, seconds: float, rounds: int) -> dict[str, list[float]]:
    """Commits a second of each variant, a figure a round."""
    rates: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    with tempfile.TemporaryDirectory() as flows, ExitStack() as open_:
        pipes: list[Connection] = []
        for _ in range(connections):
            ours, theirs = fork.Pipe()
            process = fork.Process(target=application, args=(url, store, flows, theirs), daemon=True)
            process.start()
            open_.callback(process.join)
            open_.callback(ours.send, None)
            pipes.append(ours)
        for pipe in pipes:
            pipe.recv()
        for number in range(rounds):
            for place in range(len(VARIANTS)):
                variant = VARIANTS[(place + number) % len(VARIANTS)]
                begin = time.monotonic() + 0.1
                for pipe in pipes:
                    pipe.send((variant, begin, begin + seconds))
                rates[variant].append(sum(pipe.recv() for pipe in pipes) / seconds)
    return rates


def emptied(url: str) -> int:
    """Empty the tables for the next measurement; answers how many rows nobody had copied."""
    with psycopg.connect(sa.make_url(url).set(drivername="postgresql").render_as_string(), autocommit=True) as admin:
        found = admin.execute("SELECT count(*) FROM notify_outbox").fetchone()
        admin.execute("TRUNCATE notify_outbox, orders, lines")
        admin.execute("VACUUM")
    return found[0] if found else 0


def prepared(databases: Databases) -> tuple[str, str]:
    url, store = databases.create(), databases.create()
    with psycopg.connect(sa.make_url(url).set(drivername="postgresql").render_as_string()) as admin:
        admin.execute(TABLES)
    Application(url).install()
    database = Database(store)
    schema.upgrade(database)
    database.close()
    return url, store


def machine(url: str) -> str:
    with psycopg.connect(sa.make_url(url).set(drivername="postgresql").render_as_string()) as admin:
        facts = [
            f"{name} {value}"
            for name in ("server_version", "fsync", "synchronous_commit")
            for (value,) in admin.execute(f"SHOW {name}").fetchall()
        ]
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores, load {load:.1f} before · Python {platform.python_version()} · {' · '.join(facts)}"


def report(title: str, rates: dict[str, list[float]], left: int) -> None:
    middle = {variant: statistics.median(found) for variant, found in rates.items()}
    print(f"\n{title}")
    for variant, rate in middle.items():
        print(f"  {variant:14} {rate:8,.0f} commits/s   {min(rates[variant]):,.0f} to {max(rates[variant]):,.0f}")
    for other in VARIANTS[:2]:
        ratio = statistics.median(a / b for a, b in zip(rates["emit"], rates[other], strict=True))
        print(f"  emit beside {other:14} × {ratio:.2f}")
    print(f"  rows not copied yet at the end: {left:,}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="of a block")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16])
    asked = parser.parse_args()
    server = Server()
    server.start()
    try:
        url, store = prepared(Databases(server.url))
        print(machine(url))
        for connections in asked.connections:
            for relays in (1, 0):
                worker = fork.Process(target=relay, args=(url, store), daemon=True)
                if relays:
                    worker.start()
                rates = measured(url, store, connections, asked.seconds, asked.rounds)
                if relays:
                    worker.terminate()
                    worker.join()
                title = f"{connections} connection{'s' * (connections > 1)}, {'a relay' if relays else 'no relay'}"
                report(title, rates, emptied(url))
    finally:
        server.stop()


if __name__ == "__main__":
    main()
