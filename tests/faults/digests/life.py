"""Living through a plan: the engine does it, and the account notes what has to come of it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import sqlalchemy as sa

from notify import clock, registry
from notify.client import Notify
from notify.engine import batch, by_hand, delivery, local, match, runtime, sweep
from notify.engine.context import Engine
from notify.engine.work import Quietly, Tally
from notify.model import Dispatch, Receipt, new_id
from notify.settings import Settings
from notify.store import alarms, tables
from notify.timing import WIDEST
from tests.faults.digests.account import Account
from tests.faults.digests.modes import MODES, TEMPLATE, ZONES, source
from tests.faults.digests.processes import Process, runner, side_by_side
from tests.faults.digests.scenes import Deed, Happening, Plan, Scene, Work

_TICK = timedelta(microseconds=1)


def _unfinished() -> sa.CompoundSelect[Any]:
    n, w, m, e = tables.notifications, tables.windows, tables.messages, tables.events
    kinds = [
        (n, n.c.id, n.c.status, n.c.status.in_(["ready", "running", "waiting"])),
        (w, w.c.id, w.c.state, w.c.state == "open"),
        (m, m.c.id, m.c.status, m.c.status == "queued"),
        (e, e.c.uid, e.c.verdict, e.c.matched_at.is_(None)),
    ]
    mine = sa.bindparam("environment", type_=sa.String)
    return sa.union_all(*(sa.select(*ids).where(table.c.environment == mine, is_so) for table, *ids, is_so in kinds))


_UNFINISHED = _unfinished()


class Site:
    """What all lives share: a database, the workflows, an application and two processes that work."""

    def __init__(self, folder: Path, url: str) -> None:
        flows = folder / "flows"
        for id_ in MODES:
            (flows / "templates" / id_).mkdir(parents=True)
            for channel in ("in_app", "email"):
                (flows / "templates" / id_ / f"told.{channel}.j2").write_text(TEMPLATE)
        (flows / "digests.py").write_text(source())
        self.settings = Settings(home=folder, database_url=url, flows=flows)
        self.registry = registry.load(flows)
        assert not self.registry.broken, self.registry.broken
        self.module = sys.modules["notify_flows.digests"]
        self.outside: list[Dispatch] = []
        self.application, *self.processes = (Process(url, self.outside) for _ in range(3))
        self.notify = Notify(self.settings, self.application.database)
        self.contents = runtime.contents(self.settings, self.application.database)
        self.runner = runner()
        self.seen: Counter[str] = Counter()

    def close(self) -> None:
        """Give everything back."""
        self.runner.close()
        for process in (self.application, *self.processes):
            process.database.close()


@dataclass(frozen=True)
class Said:
    """What was said, and under what it can be cancelled."""

    number: int
    ts: datetime
    who: tuple[str, ...]
    receipt: Receipt


class Life:
    """One plan in an environment of its own. `wrong` has what was found on the way."""

    def __init__(self, site: Site, plan: Plan) -> None:
        self.site, self.plan, self.mode = site, plan, MODES[plan.mode]
        self.environment = new_id()
        self.settings = replace(site.settings, environment=self.environment)
        self.clock = clock.Frozen(plan.begins)
        self.account = Account(plan.mode)
        self.said: list[Said] = []
        self.wrong: list[str] = []
        known = replace(site.registry, workflows={plan.mode: site.registry.workflow(plan.mode)})
        self.notify = site.notify
        self.notify.settings, self.notify.__dict__["registry"] = self.settings, known
        self._registry = known
        self._engines = [self._engine(process) for process in site.processes]
        #: Since when it is open how far a dead process had come.
        self._open_since: datetime | None = None
        site.outside.clear()
        site.module.withdrawn.clear()

    def live(self) -> None:
        """All of it, to the end."""
        with self._in_force():
            self.notify.subscribers.save(
                {"subscriberId": id_, "email": f"{id_}@example.com", "timezone": zone} for id_, zone in ZONES.items()
            )
            for scene in self.plan.scenes:
                self._play(scene)
            self._end()

    @contextmanager
    def _in_force(self) -> Generator[None]:
        with ExitStack() as stack:
            stack.enter_context(clock.use(self.clock))
            for module in (batch, delivery):
                stack.enter_context(patch.object(module, "heartbeat", lambda *_: nullcontext()))
            if self.plan.narrow:
                stack.enter_context(patch.multiple(batch, BATCH=3, PAGE=2))
                stack.enter_context(patch.object(match, "PAGE", 2))
            yield

    def _engine(self, process: Process) -> Engine:
        return process.begin(self.settings, self._registry, self.site.contents)

    # --- scenes ---------------------------------------------------------------------------------

    def _play(self, scene: Scene) -> None:
        self._jump(scene)
        for happening in scene.happenings:
            self._happen(happening)
        for deed in scene.deeds:
            self._do(deed)
        if scene.work is not None:
            self._work(scene.work)
        if scene.ticks:
            self._ticks(scene.ticks, scene.tick_dies, settled=scene.work is not None)

    def _jump(self, scene: Scene) -> None:
        if isinstance(scene.jump, int):
            self.clock.advance(timedelta(minutes=scene.jump))
            self.site.seen["jumps of a day"] += scene.jump >= 1440
        elif ends := self.account.next_end():
            self.clock.at = max(self.clock.at, ends - (_TICK if scene.jump == "before" else timedelta()))
            self.site.seen["jumps to an end"] += 1

    def _happen(self, what: Happening) -> None:
        number = len(self.said)
        ts = self.clock.at + timedelta(minutes=what.minutes) - self.mode.apart(number)
        data = {"who": list(what.who), "key": what.key, "n": number}
        if what.asked is None:
            receipt = self.notify.emit("it/happened", data, ts=ts)
        else:
            to = list(what.who)
            receipt = self.notify.trigger(self.plan.mode, to=to, payload=data, at=ts, priority=what.asked)
        self.said.append(Said(number, ts, what.who, receipt))
        self.account.say(number, ts, receipt.uid, what.who, what.key)
        if self._open_since is not None and ts < self._open_since:
            self.account.vague = True
        self.site.seen["events"] += len(what.who)
        self.site.seen["events in the past"] += what.minutes < 0
        self.site.seen["events ahead"] += what.minutes > 0

    def _do(self, deed: Deed) -> None:
        if self._open_since is not None:
            self.account.vague = True
        if deed.what == "choose":
            self._choose(deed.which)
        elif deed.what == "read":
            self._read(deed.which)
        elif self.said and deed.what == "cancel":
            self._cancel(self.said[deed.which % len(self.said)])
        elif self.said:
            number = self.said[deed.which % len(self.said)].number
            self.site.module.withdrawn.add(number)
            self.account.untrue |= {number} if "unless" in self.mode.how else set()
        self.site.seen[deed.what] += 1

    def _choose(self, which: int) -> None:
        person, channel = list(ZONES)[which % 3], ("in_app", "email")[which % 2]
        enabled, everywhere = which % 4 > 1, which > 8
        self.notify.preferences.set(person, None if everywhere else self.plan.mode, channel, enabled)
        self.account.choose(person, channel, enabled, everywhere)

    def _read(self, which: int) -> None:
        person = list(ZONES)[which % 3]
        inbox = self.notify.inbox(person)
        for item in inbox.list(unread=True)[:1]:
            inbox.read(item.id)
            for number in item.body.split()[:1]:
                self.account.read(person, int(number))

    def _cancel(self, said: Said) -> None:
        expected = self.account.withdraw(said.number)
        found = self.notify.cancel(said.receipt.transaction_id)
        self.site.seen["withdrawn"] += found
        if found != expected and not any(self.account.is_vague(place) for place in self.account.places):
            self.wrong.append(f"cancelling {said.number} at {self.clock.at} ended {found}, not {expected}")

    # --- work -----------------------------------------------------------------------------------

    def _work(self, work: Work) -> None:
        if work.fresh or self._open_since is not None:
            self._take_over()
        several = self.site.processes[: work.processes]
        if not self._run(lambda engine: local.settle(engine), several, work.dies):
            self._settled()
        elif work.later and self.mode.body != "reminded":
            self.site.seen["crashes taken over later"] += 1
            self.account.settle(self.clock.at, sure=False)
            self._open_since = self.clock.at
        else:
            self._take_over()
            self.site.runner.run(local.settle(self._engines[0]))
            self._settled()

    def _settled(self) -> None:
        self._open_since = None
        self.account.settle(self.clock.at)

    def _run(self, work: Any, several: Sequence[Process], dies: int | None) -> bool:
        """Let these processes do it side by side; answers whether the first died."""
        first, engines = several[0], dict(zip(self.site.processes, self._engines, strict=True))
        if dies is not None:
            first.condemn(dies)
        self.site.runner.run(side_by_side([(each, work(engines[each])) for each in several]))
        first.spare()
        self.site.seen["crashes"] += first.died
        self.site.seen["side by side"] += len(several) > 1
        return first.died

    def _take_over(self) -> None:
        """Some time later: the processes there were are gone and their leases have run out; others begin."""
        self._engines = [self._engine(process) for process in self.site.processes]
        past = datetime(2000, 1, 1, tzinfo=self.plan.begins.tzinfo)
        with self.notify.database.write() as connection:
            for table in (tables.notifications, tables.messages):
                mine = sa.and_(table.c.environment == self.environment, table.c.lease_until.is_not(None))
                connection.execute(table.update().where(mine).values(lease_until=past))
            mine = tables.leases.c.environment == self.environment
            connection.execute(tables.leases.update().where(mine).values(until=past))
        self.site.runner.run(sweep.sweep_rows(self._engines[0]))

    # --- the cron deployment --------------------------------------------------------------------

    def _ticks(self, count: int, dies: int | None, *, settled: bool) -> None:
        if self._open_since is not None or not (settled or self.mode.second is None):
            self._work(Work())
        self.site.seen["ticks"] += count
        processes = self.site.processes if count > 1 else self.site.processes[:1]
        died = self._run(self._ticking, processes, dies)
        if died:
            self._take_over()
        for _ in range(count - len(processes) + died):
            self.site.runner.run(self._ticking(self._engines[0]))
        self.account.tick(self.clock.at)
        if died:
            self._work(Work())

    async def _ticking(self, engine: Engine) -> None:
        known = engine.registry.workflow(self.plan.mode)
        scope = batch.Scope(before=by_hand.close_calendar(engine, known, None, None, []))
        while await batch.work(engine, known, Quietly(), Tally(), scope):
            pass

    # --- the end --------------------------------------------------------------------------------

    def _end(self) -> None:
        """Everything comes to its end if only time goes by and there is work."""
        self.wrong += [] if self._open_since else self._unalarmed()
        for _ in range(4):
            if not self._unfinished():
                return
            self.clock.advance(timedelta(days=2))
            self._work(Work())
            if self.mode.calendar:
                self._ticks(1, None, settled=True)
        self.wrong.append(f"not over after eight days: {self._unfinished()}")

    def _unfinished(self) -> list[Any]:
        with self.notify.database.read() as connection:
            return [tuple(row) for row in connection.execute(_UNFINISHED, {"environment": self.environment})]

    def _unalarmed(self) -> list[str]:
        """What a worker would sleep through: an instant ahead that no alarm stands for."""
        with self.notify.database.read() as connection:
            return [
                f"no alarm for {instant} of {workflow}"
                for workflow, instant in sweep.next_instants(connection, self.environment).items()
                if instant > self.clock.at
                and not alarms.covered(connection, self.environment, workflow, instant, instant + WIDEST)
            ]
