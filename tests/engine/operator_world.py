"""A running `notify dev` under an operator's hand: small workflows with gates, and the verbs of the Prefect API."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from textwrap import dedent
from typing import Any, Self

import httpx
import sqlalchemy as sa

from notify.client import Notify
from notify.settings import Settings
from notify.store.database import Database
from notify.store.tables import messages, metadata, notifications
from tests.engine.dev_world import PATIENCE, Dev
from tests.eventually import eventually_sync

_HEAD = """\
import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

from notify.engine import prefect_flow
from notify.workflow import Nobody, Notification, bulk, workflow

FOLDER = Path({folder!r})


@bulk
async def gate(ids: list[str]) -> list[str]:
    with (FOLDER / "held").open("a") as file:
        file.writelines(f"{{id}}\\n" for id in ids)
    await asyncio.to_thread((FOLDER / "gate").read_text)
    return ids


async def fetch(id: str) -> str:
    with (FOLDER / "fetched").open("a") as file:
        file.write(f"{{id}}\\n")
    if (FOLDER / f"broken-{{id}}").exists():
        raise RuntimeError("the shop does not answer")
    return id


"""
_TEMPLATE = "{% block subject %}{{ workflow }}{% endblock %}\n{% block body %}Hello{% endblock %}\n"
#: By id: the options and the body.
WORKFLOWS = {
    "reminder": (
        "",
        """\
        await n.sleep_until("when", datetime.fromisoformat(n.payload["at"]))
        await n.in_app("due")
        await n.email("due")
        """,
    ),
    "slow": (
        "",
        """\
        await n.email("first")
        await n.run("gate", gate, n.subscriber.id)
        await n.in_app("done")
        """,
    ),
    "limited": ("", 'await n.in_app("done")'),
    "flaky": (
        ", retries=0",
        """\
        await n.in_app("first")
        await n.run("fetch", fetch, n.subscriber.id)
        await n.email("second")
        """,
    ),
    "mail": ("", 'await n.email("news")'),
    "linked": ("", 'await n.all(n.in_app("news"), n.email("news"))'),
    "day": (
        ', on="day/news", to=lambda event: event.data["who"]',
        """\
        burst = await n.digest("day", at="09:00")
        await n.in_app("day", total=burst.total)
        """,
    ),
}
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


class Operator(Dev):
    """Somebody at Prefect's controls."""

    @classmethod
    def at(cls, folder: Path) -> Self:
        """In an empty folder, with everything it needs to start."""
        (folder / "flows").mkdir()
        made = cls(folder / ".notify", folder / "flows")
        made.prepare()
        return made

    def prepare(self) -> None:
        """The workflows, their templates, and the list of deployments."""
        for id_, (options, body) in WORKFLOWS.items():
            self.save(id_, options, body)
        os.mkfifo(self.folder / "gate")
        (self.folder / "prefect.yaml").write_text(_listed())

    def save(self, id_: str, options: str, body: str) -> None:
        """A workflow of the dedented body; a template for each message it makes."""
        lines = dedent(body).strip().splitlines()
        source = _HEAD.format(folder=str(self.folder))
        source += f'@workflow("{id_}"{options})\nasync def body(n: Notification[dict[str, Any]]) -> None:\n'
        source += "".join(f"    {line}\n" for line in lines) + "\n\nflow = prefect_flow(body)\n"
        for channel in ("in_app", "email"):
            for step in ("due", "first", "second", "done", "news", "day"):
                if f'{channel}("{step}"' in body:
                    self.template(id_, f"{step}.{channel}", _TEMPLATE)
        (self.flows / f"{id_}.py").write_text(source)

    def template(self, workflow: str, step: str, text: str) -> None:
        file = self.flows / "templates" / workflow / f"{step}.j2"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    @property
    def folder(self) -> Path:
        return self.home.parent

    def _idle(self) -> bool:
        return True

    def notify(self) -> Notify:
        return Notify(Settings.from_env({"NOTIFY_HOME": str(self.home), "NOTIFY_FLOWS": str(self.flows)}))

    def know(self, *people: str) -> None:
        with self.notify() as notify:
            notify.subscribers.save([{"subscriberId": id_, "email": f"{id_}@example.com"} for id_ in people])

    def trigger(self, workflow: str, *people: str, payload: Any = None, **options: Any) -> str:
        """One trigger for these people; its transaction id."""
        self.know(*people)
        with self.notify() as notify:
            return notify.trigger(workflow, to=list(people), payload=payload or {}, **options).transaction_id

    @contextmanager
    def held_at_the_gate(self, *people: str) -> Iterator[None]:
        """For the length of the block these people stand before the gate, then it opens."""
        held = self.folder / "held"
        held.touch()
        eventually_sync(lambda: set(people) <= set(held.read_text().split()), "they stand there", within=PATIENCE)
        yield
        self.open_gate()

    def open_gate(self) -> None:
        (self.folder / "gate").write_text("go on")

    # --- the Prefect API ------------------------------------------------------------------------

    def call(self, method: str, path: str, **json: Any) -> Any:
        answer = httpx.request(method, f"{self.api}{path}", json=json or None, timeout=PATIENCE)
        assert answer.is_success, (path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def flow_run(self, id_: str) -> dict[str, Any]:
        return self.call("GET", f"/flow_runs/{id_}")

    def runs(self, deployment: str, **flow_runs: Any) -> list[dict[str, Any]]:
        only = {"id": {"any_": [self.deployment(deployment)["id"]]}}
        return self.read("flow_runs", deployments=only, flow_runs=flow_runs)

    def running(self, deployment: str) -> dict[str, Any]:
        """The flow run of this deployment that is at work."""
        state = {"type": {"any_": ["RUNNING"]}}
        [found] = eventually_sync(lambda: self.runs(deployment, state=state), f"{deployment} runs", within=PATIENCE)
        return found

    def wakes(self, workflow: str) -> list[dict[str, Any]]:
        """The scheduled wake-ups of this workflow, the first one first."""
        scheduled = {"type": {"any_": ["SCHEDULED"]}}
        found = self.runs(f"{workflow}/batch", tags={"all_": ["wake"]}, state=scheduled)
        return sorted(found, key=lambda run: run["next_scheduled_start_time"])

    def cancel(self, flow_run: str) -> None:
        """What the Cancel button and `prefect flow-run cancel` do."""
        self.call("POST", f"/flow_runs/{flow_run}/set_state", state={"type": "CANCELLING"})

    def suspend(self, flow_run: str) -> None:
        """What the Pause button of a run does."""
        state = {"type": "PAUSED", "name": "Suspended", "state_details": {"pause_reschedule": True}}
        assert self.call("POST", f"/flow_runs/{flow_run}/set_state", state=state)["status"] == "ACCEPT"

    def retry(self, flow_run: str) -> None:
        """What the Retry button does."""
        state = {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "Retry from the UI"}
        answer = self.call("POST", f"/flow_runs/{flow_run}/set_state", state=state)
        assert answer["status"] == "ACCEPT", answer

    def retried(self, flow_run: str) -> dict[str, Any]:
        """Retry it, and its last state then."""
        before = self.flow_run(flow_run)["run_count"]
        self.retry(flow_run)
        eventually_sync(lambda: self.flow_run(flow_run)["run_count"] > before, "it runs again", within=PATIENCE)
        return self.ended(flow_run)

    def delete(self, flow_run: str) -> None:
        self.call("DELETE", f"/flow_runs/{flow_run}")

    def run_now(self, deployment: str, **parameters: Any) -> dict[str, Any]:
        """Its last state."""
        return self.ended(self.asked(deployment, **parameters))

    def asked(self, deployment: str, **parameters: Any) -> str:
        answer = self.ask(deployment, **parameters)
        assert answer.is_success, answer.text
        return answer.json()["id"]

    def sweep(self, times: int = 3) -> None:
        for _ in range(times):
            assert self.run_now("sweep/cron")["type"] == "COMPLETED"

    def pause(self, what: str, *, paused: bool) -> None:
        """The work pool, or a deployment."""
        if "/" in what:
            verb = "pause_deployment" if paused else "resume_deployment"
            self.call("POST", f"/deployments/{self.deployment(what)['id']}/{verb}")
        else:
            self.call("PATCH", f"/work_pools/{what}", is_paused=paused)

    def pause_and_hear(self, what: str, said: str) -> None:
        """Pause it, and wait until the worker says `said`."""
        times = self.said.count(said)
        self.pause(what, paused=True)
        eventually_sync(lambda: self.said.count(said) > times, "the worker says so", within=PATIENCE)

    # --- the rows -------------------------------------------------------------------------------

    def statuses(self, workflow: str) -> dict[str, tuple[str, str | None]]:
        """By person: the status and reason of their notification."""
        n = notifications.c
        query = sa.select(n.subscriber, n.status, n.reason).where(n.workflow == workflow)
        return {row.subscriber: (row.status, row.reason) for row in self.rows(query)}

    def settled(self, workflow: str, *people: str) -> dict[str, tuple[str, str | None]]:
        """The same, once all of them have ended."""

        def over() -> dict[str, tuple[str, str | None]] | None:
            found = {id_: how for id_, how in self.statuses(workflow).items() if id_ in people}
            live = {"ready", "running", "waiting"}
            return found if set(found) == set(people) and not live & {how for how, _ in found.values()} else None

        return eventually_sync(over, f"{workflow} ends for {people}", within=PATIENCE) or {}

    def of(self, *people: str) -> Counter[tuple[str, str, str]]:
        """(person, channel, status) → messages."""
        m = messages.c
        query = sa.select(m.subscriber, m.channel, m.status).where(m.subscriber.in_(people))
        return Counter((person, channel, status) for person, channel, status in self.rows(query))

    def counts(self) -> dict[str, int]:
        """How many rows each table has, as soon as no flow run is at work; signs of life come and go."""
        return eventually_sync(self._counts_at_rest, "nothing is at work", within=PATIENCE) or {}

    def _counts_at_rest(self) -> dict[str, int] | None:
        found = self._counts()
        return None if found["flow_runs"] else found

    def _counts(self) -> dict[str, int]:
        database = Database(f"sqlite:///{self.home / 'notify.db'}")
        with database.read() as connection:
            found = {
                name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
                for name, table in metadata.tables.items()
                if name != "leases"
            }
        database.close()
        return found


def _listed() -> str:
    entries: list[str] = []
    for id_ in (*WORKFLOWS, "alert-on-failure"):
        file, pool = f"flows/{id_.replace('-', '_')}.py:flow", "work_pool: {name: notify}"
        schedule = "schedules: [{cron: '0 0 1 1 *'}], " if id_ == "day" else ""
        limit = "concurrency_limit: 1, " if id_ == "limited" else ""
        name, part = ("cron", ".cron") if id_ == "day" else ("notify", "")
        entries += [f"  - {{name: {name}, entrypoint: '{file}{part}', {schedule}{pool}}}"]
        entries += [f"  - {{name: batch, entrypoint: '{file}.batch', {limit}{pool}}}"]
    for name, flow in (("cron", "sweep"), ("batch", "deliver")):
        entries += [f"  - {{name: {name}, entrypoint: notify.engine.system_flows.{flow}, tags: [system]}}"]
    return "\n".join(["deployments:", *entries, ""])


def soon(now: datetime) -> str:
    """A whole second, as a payload says it."""
    return now.replace(microsecond=0).isoformat()
