"""A rehearsal: one day of an application, whose clock stands still until the test moves it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from notify import clock
from notify.channels.memory import MemoryProvider
from notify.client import Notify
from notify.engine import local
from notify.engine.context import Engine
from notify.engine.hands import Hands
from notify.errors import InvalidInput
from notify.intake import channel as known_channel
from notify.model import Channel, MessageStatus
from notify.store.instants import due_at_a_tick, next_instant
from notify.store.told import Everything, awaited_names, everything
from notify.testing.backstage import Loop, Reaching
from notify.testing.explained import explained
from notify.testing.instants import instant, written
from notify.testing.meant import meant
from notify.testing.people import People
from notify.testing.sent import Sent, all_sent, step_of
from notify.timing import later, length, zone
from notify.workflow import system_name

#: Tests fail at their own lines: pytest leaves out the frames of modules that say this.
__tracebackhide__ = True


class Rehearsal:
    """What `rehearsal` opens: an application's side, and a clock. All that is due is done before a method returns.

    `notify` is the application's own client for whatever has no method here, followed by `settle`. `providers` keep
    what they were given, and answer as their `script` says. `zone` is the zone in which texts tell the time.
    """

    def __init__(self, engine: Engine, notify: Notify, frozen: clock.Frozen, zone: str, hands: Hands) -> None:
        self.engine = engine
        self.notify = notify
        self.zone = zone
        self.people = People(engine.database, engine.environment, zone)
        self._clock = frozen
        self._hands = Reaching(hands, engine, self.people)
        self._loop = Loop()

    # --- who there is ---------------------------------------------------------------------------

    def person(self, id: str, **fields: Any) -> None:
        """Say more of somebody: `timezone`, `locale`, `first_name`, `last_name`, `data`, `email`, `phone`, `push`.

        Whoever takes part lives in the rehearsal's zone and has an address on every channel, unless this says
        otherwise: `email=None` is somebody without e-mail.
        """
        self.people.save(id, fields)

    def prefer(self, person: str, workflow: str | None, channel: str, enabled: bool) -> None:
        """A choice of this person's; `workflow` None is for every workflow."""
        if workflow is not None:
            self.engine.registry.workflow(workflow)
        known_channel(channel, "channel")
        if person not in self.people.known():
            self.person(person)
        self.notify.preferences.set(person, workflow, channel, enabled)
        self.settle()

    def read(self, person: str, step: str | None = None) -> int:
        """The person reads the in-app messages of this step, or all there are; returns how many were unread."""
        self._refuse_stranger(person)
        unread = [
            row
            for row in self._everything().messages
            if row.subscriber == person and row.channel == Channel.IN_APP
            if row.status == MessageStatus.DELIVERED and row.read_at is None
        ]
        mine = [row for row in unread if step in (None, step_of(row))]
        if step is not None and not mine:
            steps = ", ".join(sorted({step_of(row) for row in unread})) or "nothing"
            problem = f"{person} has no unread in-app message of step {step!r}"
            raise InvalidInput(field="step", problem=problem, remedy=f"Unread is: {steps}")
        for row in mine:
            self.notify.inbox(person).read(row.id)
        self.settle()
        return len(mine)

    # --- what happens ---------------------------------------------------------------------------

    def emit(self, name: str, data: Any = None, *, ts: str | datetime | None = None, **envelope: Any) -> str:
        """Say that something happened, now or at `ts`; answers the transaction id, for `cancel`.

        InvalidInput where nobody listens to such an event and no `@event` declares it.
        """
        self._refuse_unheard(system_name(name))
        when = None if ts is None else self.at(ts)
        receipt = self.notify.emit(name, {} if data is None else data, ts=when, **envelope)
        self.settle()
        return receipt.transaction_id

    def trigger(
        self, workflow: str, to: Any, payload: Any = None, *, at: str | datetime | None = None, **options: Any
    ) -> str:
        """Ask for a workflow, now or at an instant; answers the transaction id, for `cancel`."""
        when = None if at is None else self.at(at)
        receipt = self.notify.trigger(workflow, to=to, payload=payload, at=when, **options)
        self.settle()
        return receipt.transaction_id

    def cancel(self, transaction_id: str) -> int:
        """Cancel what an event or trigger started and has not ended; returns how many."""
        count = self.notify.cancel(transaction_id)
        self.settle()
        return count

    def settle(self) -> None:
        """Do everything that can be done at this instant."""
        self._loop.run(local.settle_with(self.engine, self._hands))

    # --- time -----------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """What the clock says, in the rehearsal's zone."""
        return self._clock().astimezone(zone(self.zone))

    def at(self, text: str | datetime) -> datetime:
        """The instant that a text such as `2026-04-01 09:00` means here, for payloads: `r.at("2026-04-01 09:00")`."""
        return instant(text, self.zone, "at")

    def advance(self, text: str | None = None, **parts: float) -> datetime:
        """Let so much time pass: `advance("3d")`, `advance(hours=2)`. Days keep the time of day.

        The clock stops wherever something is due, in order, and it is done then. Answers what the clock says.
        """
        if text is not None and parts:
            problem = f"{text!r} does not go with {', '.join(parts)}"
            raise InvalidInput(field="length", problem=problem, remedy="Use one of them")
        wait = length(parts if text is None else text, "length")
        return self._go_to(later(self._clock(), wait, self.zone))

    def advance_to(self, at: str | datetime) -> datetime:
        """Let time pass until then, stopping as `advance` does."""
        return self._go_to(self.at(at))

    def _go_to(self, until: datetime) -> datetime:
        if until < self._clock():
            problem = f"{written(until.astimezone(zone(self.zone)))} is before {written(self.now)}"
            raise InvalidInput(field="at", problem=problem, remedy="Time goes forward only: begin another rehearsal")
        self._loop.run(self._pass(until))
        return self.now

    async def _pass(self, until: datetime) -> None:
        """An instant at a time, because what is done at one decides what the next one is."""
        due = await self.engine.read(next_instant, self._clock())
        while due is not None and due <= until:
            await self._arrive(due)
            due = await self.engine.read(next_instant, self._clock())
        await self._arrive(until)

    async def _arrive(self, at: datetime) -> None:
        self._clock.at = at
        await local.settle_with(self.engine, self._hands)
        ticking = [one for one in await self.engine.read(due_at_a_tick, at) if one in self.engine.registry.workflows]
        for workflow in ticking:
            await self._hands.cron(self.engine.registry.workflow(workflow))
        if ticking:
            await local.settle_with(self.engine, self._hands)

    # --- what became of it ----------------------------------------------------------------------

    def sent(self, person: str | None = None, channel: str | None = None) -> Sent:
        """What this person was sent, or everybody, on one channel or on all of them, in order."""
        if person is not None:
            self._refuse_stranger(person)
        wanted = channel and known_channel(channel, "channel")
        return Sent(
            message
            for message in all_sent(self._everything())
            if person in (None, message.person) and wanted in (None, message.channel)
        )

    def explain(self) -> str:
        """What was sent, and why the rest was not: what a test that fails in a rehearsal shows."""
        found = self._everything()
        return explained(found, all_sent(found), self._clock(), self.zone, self.engine.registry.folder)

    def note(self, error: BaseException) -> None:
        """Let a failure say what `explain` does; a mistake in calling the kit explains itself."""
        if not isinstance(error, InvalidInput):
            error.add_note(self.explain())

    @property
    def providers(self) -> Mapping[Channel, MemoryProvider]:
        """The providers of e-mail, SMS and push."""
        return {channel: one for channel, one in self.engine.providers.items() if isinstance(one, MemoryProvider)}

    def close(self) -> None:
        """Give the threads back."""
        self._loop.close()

    def _everything(self) -> Everything:
        with self.engine.database.read() as connection:
            return everything(connection, self.engine.environment)

    # --- mistakes -------------------------------------------------------------------------------

    def _refuse_stranger(self, person: str) -> None:
        known = self.people.known()
        if person not in known:
            remedy = meant(person, known) or f"Name somebody whom nothing concerns first: r.person({person!r})"
            raise InvalidInput(field="person", problem=f"nobody called {person!r} took part", remedy=remedy)

    def _refuse_unheard(self, name: str) -> None:
        found = self.engine.registry
        ends = {rule.event for workflow in found.workflows.values() for rule in workflow.cancel_on}
        awaited = {awaited for workflow in found.workflows.values() for awaited in workflow.shape.awaits}
        known = {*found.listeners(), *found.events, *ends, *awaited}
        if name in known:
            return
        with self.engine.database.read() as connection:
            known |= awaited_names(connection, self.engine.environment)
        if name not in known:
            remedy = meant(name, known) or "Declare it with @event if nothing is to start on it"
            raise InvalidInput(field="name", problem=f"no workflow listens to {name!r}", remedy=remedy)
