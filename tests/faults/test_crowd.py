"""Several processes emit, trigger and cancel at once while two workers follow: nobody meets an error."""

from __future__ import annotations

from pathlib import Path

from tests.faults.crowd import crowd
from tests.faults.lone import Lone
from tests.faults.machines import FLOWS
from tests.faults.sink import Sink
from tests.postgres import Server


def test_a_crowd_is_served_whole(tmp_path: Path, durable_postgres: Server) -> None:
    with Sink() as sink:
        lone = Lone(tmp_path, durable_postgres.url, sink.url)
        lone.variables["NOTIFY_FLOWS"] = str(FLOWS)
        lone.notify().close()
        with lone.process(), lone.process():
            result = crowd(lone.variables, 4, 5.0, sink, durable_postgres.folder / "log")

    print("", *result.lines(), sep="\n")
    assert result.clean, result.lines()
    assert all(ledger.taken for ledger in result.ledgers)
    assert result.comparison.second_sends == 0
    assert "Traceback" not in lone.said.read_text()
