"""`deployments/compose.yaml` as `docker compose` reads it, for tests without a container engine."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml

from tests.house.source import ROOT

DEPLOYMENTS = ROOT / "deployments"
_VARIABLE = re.compile(r"\$(?:\$|\{(\w+)\})")


def example() -> dict[str, str]:
    """The values of `.env.example`."""
    lines = (DEPLOYMENTS / ".env.example").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@dataclass(frozen=True)
class Service:
    """One service: what it runs, in which environment, when it is well, and what it waits for."""

    name: str
    said: Mapping[str, Any]

    @property
    def command(self) -> list[str]:
        return self.said["command"]

    @property
    def environment(self) -> dict[str, str]:
        return self.said["environment"]

    @property
    def health(self) -> list[str]:
        """The command that ends with 0 when it is well."""
        return self.said["healthcheck"]["test"][1:]

    @property
    def needs(self) -> dict[str, str]:
        """Service → the condition that it has to meet first."""
        return {name: need["condition"] for name, need in self.said.get("depends_on", {}).items()}


@dataclass(frozen=True)
class Compose:
    """The file with the variables of an `.env` filled in."""

    variables: Mapping[str, str]

    @cached_property
    def services(self) -> dict[str, Service]:
        content = yaml.safe_load((DEPLOYMENTS / "compose.yaml").read_text(encoding="utf-8"))
        return {name: Service(name, self._with_env_file(said)) for name, said in self._filled(content["services"])}

    def _filled(self, content: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        return ((name, self._value(value)) for name, value in content.items())

    def _value(self, value: Any) -> Any:
        match value:
            case dict():
                return dict(self._filled(value))
            case list():
                return [self._value(one) for one in value]
            case str():
                return _VARIABLE.sub(lambda found: self.variables[found[1]] if found[1] else "$", value)
            case _:
                return value

    def _with_env_file(self, said: dict[str, Any]) -> dict[str, Any]:
        from_file = self.variables if "env_file" in said else {}
        return said | {"environment": {**from_file, **said.get("environment", {})}}

    def in_order(self) -> list[Service]:
        """Each after all it depends on."""
        ordered: dict[str, Service] = {}
        while rest := [service for name, service in self.services.items() if name not in ordered]:
            ready = [service for service in rest if set(service.needs) <= set(ordered)]
            assert ready, f"{[service.name for service in rest]} wait for each other"
            ordered |= {service.name: service for service in ready}
        return list(ordered.values())
