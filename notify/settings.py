"""The environment, read once, as one frozen value."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from notify.errors import InvalidSetting

#: Every option of a workflow can be set as NOTIFY_<WORKFLOW>_<PARAMETER>.
_PREFIX = "NOTIFY_"
_EMAIL_PROVIDERS = ("file", "smtp", "sendgrid")
#: What stands for every secret in `deployments/`: whoever leaves it in has no secret.
EXAMPLE = "change-me"


@dataclass(frozen=True)
class Settings:
    """Where things are and how they are reached. `Settings.from_env()` is the usual way to get one."""

    home: Path
    database_url: str
    flows: Path
    environment: str = "default"
    #: Databases of applications whose `notify_outbox` the workers copy from.
    outboxes: tuple[str, ...] = ()
    prefect_api_url: str | None = None
    email: str = "file"
    email_from: str = "notify@localhost"
    smtp_url: str = "smtp://localhost:25"
    sendgrid_key: str = ""
    sendgrid_url: str = "https://api.sendgrid.com"
    app_url: str = "https://app.example.com"
    #: What holds messages back, as texts: hours for people who set none, and budgets; `engine.limits` reads them.
    schedule: str = ""
    budget: str = ""
    budget_exempt: str = "high"
    budget_overflow: str = "defer"
    #: The name under which a worker gives its sign of life, and which Prefect shows.
    worker: str = field(default_factory=platform.node)
    variables: Mapping[str, str] = field(default_factory=lambda: {})

    @classmethod
    def from_env(cls, variables: Mapping[str, str] | None = None) -> Settings:
        """Read `NOTIFY_*` and `PREFECT_API_URL`; anything unusable is an InvalidSetting naming the variable."""
        env = dict(os.environ if variables is None else variables)
        _refuse_examples(env)
        home = Path(env.get("NOTIFY_HOME") or ".notify").expanduser().absolute()
        email = env.get("NOTIFY_EMAIL") or "file"
        if email not in _EMAIL_PROVIDERS:
            raise InvalidSetting(
                name="NOTIFY_EMAIL",
                value=email,
                problem="no such e-mail provider",
                remedy=f"Use one of {', '.join(_EMAIL_PROVIDERS)}",
            )
        return cls(
            home=home,
            database_url=_store(env.get("NOTIFY_DATABASE_URL"), home),
            outboxes=_outboxes(env.get("NOTIFY_OUTBOX_URLS") or ""),
            flows=_flows(env.get("NOTIFY_FLOWS")),
            environment=env.get("NOTIFY_ENVIRONMENT") or cls.environment,
            prefect_api_url=env.get("PREFECT_API_URL") or None,
            email=email,
            email_from=env.get("NOTIFY_EMAIL_FROM") or cls.email_from,
            smtp_url=env.get("NOTIFY_SMTP_URL") or cls.smtp_url,
            sendgrid_key=env.get("NOTIFY_SENDGRID_KEY") or cls.sendgrid_key,
            sendgrid_url=env.get("NOTIFY_SENDGRID_URL") or cls.sendgrid_url,
            app_url=env.get("NOTIFY_APP_URL") or cls.app_url,
            schedule=env.get("NOTIFY_SCHEDULE") or cls.schedule,
            budget=env.get("NOTIFY_BUDGET") or cls.budget,
            budget_exempt=env.get("NOTIFY_BUDGET_EXEMPT") or cls.budget_exempt,
            budget_overflow=env.get("NOTIFY_BUDGET_OVERFLOW") or cls.budget_overflow,
            worker=_worker(env.get("NOTIFY_WORKER")),
            variables={key: value for key, value in env.items() if key.startswith(_PREFIX)},
        )

    @cached_property
    def sent(self) -> Path:
        """The folder into which the file provider writes."""
        return self.home / "sent"

    @property
    def embedded_database(self) -> bool:
        """True when the store is a SQLite file."""
        return self.database_url.startswith("sqlite")

    def parameter(self, workflow: str, name: str) -> str | None:
        """What the environment says about one parameter of one workflow, unparsed."""
        return self.variables.get(_PREFIX + re.sub(r"\W", "_", f"{workflow}_{name}").upper())


def _refuse_examples(env: Mapping[str, str]) -> None:
    """A secret that everybody can read in the repository is none."""
    for name, value in env.items():
        if EXAMPLE in value and name.startswith((_PREFIX, "PREFECT_")):
            raise InvalidSetting(
                name=name,
                value=f"…{EXAMPLE}…",
                problem="still has the example's secret",
                remedy="Put one of your own in its place, such as `openssl rand -hex 24` prints",
            )


def _worker(name: str | None) -> str:
    if name and ("/" in name or "%" in name):
        raise InvalidSetting(
            name="NOTIFY_WORKER",
            value=name,
            problem="Prefect takes no slash and no percent sign in a worker's name",
            remedy="Use letters, digits and dashes, or leave it out to use the host's name",
        )
    return name or platform.node()


def _store(url: str | None, home: Path) -> str:
    return usable_url(url, "NOTIFY_DATABASE_URL") if url else f"sqlite:///{home / 'notify.db'}"


def _outboxes(urls: str) -> tuple[str, ...]:
    """Each once, in order. A comma inside a URL stays: it may list the hosts of one database."""
    found = (one for one in re.split(r"\s+|,\s*(?=\w[\w+]*://)", urls) if one.strip(","))
    return tuple(dict.fromkeys(usable_url(one.strip(","), "NOTIFY_OUTBOX_URLS") for one in found))


def usable_url(url: str, name: str) -> str:
    """The URL with the driver we use, or an InvalidSetting under `name`."""
    if url.startswith("postgresql://"):
        url = "postgresql+psycopg://" + url.removeprefix("postgresql://")
    if url.startswith(("sqlite:///", "postgresql+psycopg://")) and _is_url(url):
        return url
    raise InvalidSetting(
        name=name,
        value=url.split("@")[-1],
        problem="neither SQLite nor PostgreSQL",
        remedy="Use sqlite:///path/to/file.db or postgresql+psycopg://user@host/name",
    )


def _is_url(url: str) -> bool:
    try:
        make_url(url)
    except (ValueError, ArgumentError):
        return False
    return True


def _flows(folder: str | None) -> Path:
    if folder:
        path = Path(folder).expanduser().absolute()
        if not path.is_dir():
            raise InvalidSetting(
                name="NOTIFY_FLOWS",
                value=folder,
                problem="no such folder",
                remedy="Create it, or leave the variable out to use ./flows",
            )
        return path
    local = Path("flows").absolute()
    return local if local.is_dir() else shipped_flows()


def shipped_flows() -> Path:
    """The reference workflows that come with the package."""
    package = find_spec("notify")
    assert package is not None
    assert package.origin is not None
    beside, inside = Path(package.origin).parent.parent / "flows", Path(package.origin).parent / "_flows"
    return inside if inside.is_dir() else beside
