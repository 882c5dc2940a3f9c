"""The people of a round as the store knows them now: read once, however many channels ask."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa

from notify.engine.context import Engine
from notify.model import Channel, Preference, Subscriber
from notify.planning import Choices
from notify.store import people


@dataclass
class Audience:
    """Subscribers and what they chose. Facts are read at the time of a step, so each round begins with none."""

    engine: Engine
    workflow: str
    #: Those who were read a moment ago, when their notifications were claimed: the first round takes them as they are.
    claimed: Mapping[str, Subscriber] = field(default_factory=lambda: dict[str, Subscriber]())
    known: dict[str, Subscriber] = field(default_factory=lambda: dict[str, Subscriber]())
    _chosen: list[Preference] = field(default_factory=lambda: list[Preference]())
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def meet(self, ids: Iterable[str]) -> None:
        """Read those who are not known yet: two statements."""
        async with self._reading:
            strangers = sorted(set(ids) - self.known.keys())
            if strangers:
                found, chosen = await self.engine.read(_read, strangers, self.workflow, self.claimed)
                self.known |= {id_: found.get(id_) or Subscriber(id_) for id_ in strangers}
                self._chosen += chosen

    def choices(self, channel: Channel) -> Choices:
        """What those met chose for this channel."""
        return Choices.of(self._chosen, channel)

    def forget(self) -> None:
        """The round is over."""
        self.claimed = {}
        self.known.clear()
        self._chosen.clear()


def _read(
    connection: sa.Connection, environment: str, ids: list[str], workflow: str, claimed: Mapping[str, Subscriber]
) -> tuple[Mapping[str, Subscriber], list[Preference]]:
    unread = [id_ for id_ in ids if id_ not in claimed]
    found = people.load(connection, environment, unread) if unread else {}
    return {**claimed, **found}, people.chosen(connection, environment, ids, workflow)
