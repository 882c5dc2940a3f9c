"""A real Prefect server that can be taken away and brought back, and a real worker that has little patience."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx
import sqlalchemy as sa

from notify import clock
from notify.client import Notify
from notify.engine.server import EmbeddedServer
from notify.settings import Settings
from notify.store import audit
from notify.store.tables import alarms, messages, unreported
from tests.eventually import eventually_sync

#: Seconds for a server to start, and for anything to happen on a machine with other work to do.
WITHIN = 100.0
#: The worker's, instead of half a minute.
PATIENCE = 10.0
_FLOWS = """
    from typing import Any

    from notify.engine import prefect_flow
    from notify.workflow import Notification, workflow


    @workflow("{id}", on="{id}/asked", to=lambda event: event.data["to"], urgent={urgent}, retries=0)
    async def body(n: Notification[dict[str, Any]]) -> None:
        if n.payload.get("after"):
            await n.sleep("until", seconds=n.payload["after"])
        if n.payload.get("fails"):
            raise ValueError("no such thing")
        await n.email("note")


    flow = prefect_flow(body)
"""
_WORKER = f"""
from notify.commands.running import run, with_prefect
from notify.settings import Settings

run(lambda: with_prefect(
    Settings.from_env(), None, "running", "work", patient=True, until_idle=False, patience={PATIENCE}
))
"""
_TEMPLATE = "{% block subject %}{{ workflow }}{% endblock %}\n{% block body %}hello{% endblock %}\n"


class Outage:
    """`code` is urgent, `news` and `later` are not. Everybody has an address."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.folder = folder
        self.port = _free_port()
        self.server: EmbeddedServer | None = None
        self.worker: subprocess.Popen[bytes] | None = None
        for id_, urgent in (("code", True), ("news", False), ("later", False)):
            self._save(id_, urgent)
        self.environment = self._environment(database_url)
        self.notify = Notify(Settings.from_env(self.environment))
        self.notify.subscribers.save([{"subscriberId": id_, "email": f"{id_}@example.com"} for id_ in ("ana", "bo")])

    def _save(self, id_: str, urgent: bool) -> None:
        templates = self.folder / "flows" / "templates" / id_
        templates.mkdir(parents=True)
        (templates / "note.email.j2").write_text(_TEMPLATE)
        (self.folder / "flows" / f"{id_}.py").write_text(dedent(_FLOWS).format(id=id_, urgent=urgent))

    def _environment(self, database_url: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("NOTIFY_", "PREFECT_"))}
        return kept | {
            "NOTIFY_HOME": str(self.folder / ".notify"),
            "NOTIFY_DATABASE_URL": database_url,
            "NOTIFY_FLOWS": str(self.folder / "flows"),
            "PREFECT_API_URL": self.api,
        }

    # --- the server ---------------------------------------------------------------------------------

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def start_server(self) -> None:
        """The first time, or again on the same port and database."""
        self.server = EmbeddedServer(self.folder / "server", self.port)
        asyncio.run(self.server.__aenter__())

    def silence(self, how: signal.Signals) -> None:
        """It is gone (SIGKILL), or there and does not answer (SIGSTOP)."""
        os.kill(self._pid, how)

    def back(self, how: signal.Signals) -> None:
        """The server answers again."""
        if how is signal.SIGSTOP:
            os.kill(self._pid, signal.SIGCONT)
        else:
            self.start_server()

    @property
    def _pid(self) -> int:
        return json.loads((self.folder / "server" / "prefect.json").read_text())["pid"]

    def flow_runs(self, **query: Any) -> list[dict[str, Any]]:
        answer = httpx.post(f"{self.api}/flow_runs/filter", json={"sort": "START_TIME_ASC", **query}, timeout=WITHIN)
        answer.raise_for_status()
        return answer.json()

    def records(self) -> list[dict[str, Any]]:
        """The flow runs of what was done without Prefect."""
        return self.flow_runs(flow_runs={"tags": {"all_": ["unreported"]}})

    # --- the worker ---------------------------------------------------------------------------------

    def start_worker(self) -> None:
        with (self.folder / "said.txt").open("wb") as said:
            self.worker = subprocess.Popen(
                [sys.executable, "-c", _WORKER],
                cwd=self.folder,
                env=self.environment,
                stdout=said,
                stderr=subprocess.STDOUT,
            )

    @property
    def said(self) -> str:
        return (self.folder / "said.txt").read_text()

    @property
    def log(self) -> str:
        return (self.folder / ".notify" / "prefect.log").read_text()

    def stop_worker(self) -> int:
        """Ask it to end; answers how it did."""
        assert self.worker is not None
        self.worker.send_signal(signal.SIGTERM)
        return self.worker.wait(WITHIN)

    def close(self) -> None:
        """End everything that was started."""
        if self.worker is not None:
            self.worker.kill()
            self.worker.wait()
        if self.server is not None:
            process = self.server.__dict__["_process"]
            process.kill()
            process.wait()
        self.notify.__exit__(None, None, None)

    # --- what happens, and what became of it --------------------------------------------------------

    def ask(self, workflow: str, to: str = "ana", **data: Any) -> None:
        """An event for one person."""
        self.notify.emit(f"{workflow}/asked", {"to": [to], **data})

    def rows(self, query: sa.Select[Any]) -> list[Any]:
        with self.notify.database.read() as connection:
            return list(connection.execute(query))

    def told(self) -> list[str]:
        """The workflow of each message that was sent, in that order."""
        m = messages.c
        return [row.workflow for row in self.rows(sa.select(m.workflow).where(m.status == "sent").order_by(m.sent_at))]

    def unreported(self) -> dict[str, Any]:
        """The rows by workflow."""
        return {row.workflow: row for row in self.rows(sa.select(unreported))}

    def armed(self, workflow: str) -> bool:
        """Whether a scheduled flow run stands for its alarm."""
        query = sa.select(alarms.c.flow_run).where(alarms.c.workflow == workflow)
        return any(row.flow_run for row in self.rows(query))

    def clean(self) -> bool:
        """What `notify audit` answers."""
        listeners = self.notify.registry.listeners()
        with self.notify.database.read() as connection:
            return audit.audit(connection, "default", listeners, now=clock.now()).clean

    def until(self, condition: Any, what: str) -> None:
        eventually_sync(condition, what, within=WITHIN)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
