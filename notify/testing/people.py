"""The people of a rehearsal: unless a test says otherwise they live in its zone and can be reached on every channel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import sqlalchemy as sa

from notify import clock, intake
from notify.store import people
from notify.store.database import Database
from notify.store.told import unaddressed
from notify.testing.instants import known_zone

_SPELLED = {"first_name": "firstName", "last_name": "lastName"}


@dataclass
class People:
    """Whom a test named keeps the addresses it gave; everybody else has one on each channel."""

    database: Database
    environment: str
    home: str
    _named: set[str] = field(default_factory=lambda: set[str]())

    def save(self, person: str, fields: dict[str, Any]) -> None:
        """Save what the test says of somebody; `None` is none. Whoever is new is given the rest."""
        given = {_SPELLED.get(name, name): value for name, value in fields.items()}
        if given.get("timezone") is not None:
            known_zone(str(given["timezone"]), "timezone")
        if "push" in given:
            given["channels"] = _devices(given.pop("push"))
        asked = given if person in self._named else _reachable(person, self.home) | given
        row, _ = intake.parse_subscriber({"subscriberId": person, **asked}, "person")
        with self.database.write() as connection:
            people.save(connection, self.environment, [row], clock.now())
        self._named.add(person)

    def complete(self, connection: sa.Connection, environment: str) -> None:
        """Give whoever took part without being named an address on each channel."""
        found = unaddressed(connection, environment)
        rows = [
            intake.parse_subscriber({"subscriberId": one} | _reachable(one, known or self.home))[0]
            for one, known in found.items()
            if one not in self._named
        ]
        people.save(connection, environment, rows, clock.now())

    def known(self) -> set[str]:
        """Everybody there is."""
        with self.database.read() as connection:
            return people.ids(connection, self.environment)


def _reachable(person: str, home: str) -> dict[str, Any]:
    return {
        "email": f"{person}@example.com",
        "phone": f"+1555{crc32(person.encode()) % 10**7:07}",
        "channels": _devices(f"device of {person}"),
        "timezone": home,
    }


def _devices(token: str | None) -> list[dict[str, Any]]:
    return [{"providerId": "fcm", "credentials": {"deviceTokens": [token]}}] if token else []
