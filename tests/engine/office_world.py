"""PostgreSQL, a Prefect server and a worker with the shipped workflows: whatever they do, the power may go."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa

from notify import clock
from notify.client import Notify
from notify.settings import Settings
from notify.store.database import Database
from notify.store.tables import attempts, messages, notifications
from tests.engine.dev_world import assignment, evening
from tests.eventually import eventually, eventually_sync
from tests.faults.machines import Postgres, PrefectServer, Worker, environment
from tests.house.source import ROOT

#: Seconds for anything to happen on a machine with other work to do.
PATIENCE = 180
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


class Office:
    """Everything on one machine, each its own processes. What was committed outlives them."""

    def __init__(self, folder: Path, known_to_prefect: Callable[[Path], Path]) -> None:
        (folder / "home").mkdir()
        self.postgres = Postgres()
        self.prefect = PrefectServer(known_to_prefect(folder / "server"))
        ours = {"NOTIFY_FLOWS": str(ROOT / "flows"), "NOTIFY_EMAIL": "file"}
        self.environment = environment(folder / "home", self.postgres.url, self.prefect.url, "") | ours
        self.worker = Worker("worker", folder, self.environment)
        self._runner = asyncio.Runner()

    # --- the power ------------------------------------------------------------------------------

    def open(self) -> None:
        """For the first time, with digests whose schedules stand still: tests make ticks of their own."""
        self.postgres.make()
        self._runner.run(self._started())
        for name in ("daily-digest/cron", "weekly-digest/cron"):
            self.schedule(name, active=False)

    def power_cut(self) -> None:
        """SIGKILL to every process, at once."""
        self._runner.run(self._killed())

    def power_back(self) -> None:
        """Everything is started again."""
        self._runner.run(self.postgres.start())
        self._runner.run(self._started())

    def worker_goes(self) -> None:
        """SIGKILL to the worker alone."""
        self._runner.run(self.worker.kill())

    def worker_returns(self) -> None:
        """The worker alone is started again."""
        self._runner.run(self._working())

    def close(self) -> None:
        """End it for good."""
        for machine in (self.worker, self.prefect, self.postgres):
            self._runner.run(machine.stop())
        self._runner.close()

    async def _killed(self) -> None:
        await asyncio.gather(self.worker.kill(), self.postgres.kill(), self.prefect.kill())

    async def _started(self) -> None:
        await self.prefect.start()
        assert self.prefect.up, "the Prefect server starts"
        await self._working()

    async def _working(self) -> None:
        await self.worker.start()
        await eventually(lambda: self.worker.up, "the worker greets", within=PATIENCE)

    # --- the application, and what became of what it said -----------------------------------------

    def assign(self, person: str, *, due: datetime | None = None, at: datetime | None = None) -> None:
        """Somebody gets a task (and is told of it `at` once), who has an address, and whose next nine is far away."""
        zone, at = evening(datetime.now(UTC)), at or datetime.now(UTC)
        with Notify(Settings.from_env(self.environment)) as notify, clock.use(clock.Frozen(at)):
            notify.subscribers.save([{"subscriberId": person, "email": f"{person}@example.com", "timezone": zone}])
            notify.emit("task/assigned", assignment(f"T-{person}-{at}", person, due))

    def rows(self, query: sa.Select[Any]) -> list[Any]:
        database = Database(self.postgres.url)
        with database.read() as connection:
            found = list(connection.execute(query))
        database.close()
        return found

    def waiting(self, workflow: str, *people: str) -> int:
        """How many notifications of theirs wait."""
        n = notifications.c
        query = sa.select(sa.func.count()).where(n.workflow == workflow, n.subscriber.in_(people))
        return self.rows(query.where(n.status == "waiting"))[0][0]

    def told(self, workflow: str, *people: str) -> list[Any]:
        """The messages that were made for them, with how many calls each took."""
        m = messages.c
        calls = sa.select(sa.func.count()).where(attempts.c.message == m.id).scalar_subquery()
        query = sa.select(*messages.columns, calls.label("calls")).where(m.workflow == workflow, m.status != "skipped")
        return self.rows(query.where(m.subscriber.in_(people)).order_by(m.subscriber, m.channel))

    def once_each(self, workflow: str, *people: str) -> list[Any]:
        """Their messages: wait until all are told, and hold that each is once, in the inbox and by one e-mail."""
        whole = [(one, *how) for one in sorted(people) for how in (("email", "sent", 1), ("in_app", "delivered", 0))]

        def told() -> list[Any]:
            return [(row.subscriber, row.channel, row.status, row.calls) for row in self.told(workflow, *people)]

        eventually_sync(lambda: set(whole) <= set(told()), f"{people} are told", within=PATIENCE)
        assert told() == whole
        return self.told(workflow, *people)

    def audited(self) -> str:
        """What `notify audit` says."""
        command = [sys.executable, "-m", "notify.cli", "audit"]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    # --- Prefect --------------------------------------------------------------------------------

    def call(self, method: str, path: str, **body: Any) -> Any:
        answer = httpx.request(method, f"{self.prefect.url}/{path}", json=body or None, timeout=PATIENCE)
        assert answer.is_success, (path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def deployment(self, name: str) -> dict[str, Any]:
        return self.call("GET", f"deployments/name/{name}")

    def schedule(self, name: str, *, active: bool) -> None:
        """Switch a deployment's schedule on or off."""
        deployment = self.deployment(name)
        for one in deployment["schedules"]:
            self.call("PATCH", f"deployments/{deployment['id']}/schedules/{one['id']}", active=active)

    def fire(self, name: str, at: datetime) -> str:
        """Ask for a run at this instant; its id."""
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": at.isoformat()}}
        return self.call("POST", f"deployments/{self.deployment(name)['id']}/create_flow_run", state=state)["id"]

    def states(self, flow_runs: Sequence[str]) -> list[dict[str, Any]]:
        """What they are in now, in this order."""
        return [self.call("GET", f"flow_runs/{one}")["state"] for one in flow_runs]

    def said(self, flow_runs: Sequence[str]) -> list[str]:
        """The last words of these runs, which all have to complete."""

        def over() -> list[dict[str, Any]] | None:
            found = self.states(flow_runs)
            return found if all(state["type"] in FINAL for state in found) else None

        found = eventually_sync(over, "the runs end", within=PATIENCE) or []
        assert {state["type"] for state in found} == {"COMPLETED"}, found
        return [state["message"] for state in found]
