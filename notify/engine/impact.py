"""Before a release: how many people wait in what it changes, and what that means for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from notify.engine.contents import Contents
from notify.errors import InvalidInput
from notify.model import JsonObject
from notify.registry import Registry
from notify.settings import Settings
from notify.shapes import Change, Collecting, Shape, Standing, kept, of_steps, of_windows
from notify.store import schema, standing
from notify.store.database import Database
from notify.workflow import Workflow


@dataclass(frozen=True, slots=True)
class Impact:
    """What a release changes for those who wait, by workflow."""

    waiting: int = 0
    changes: Sequence[tuple[str, Change]] = ()

    def lines(self) -> list[str]:
        """For people: a line each, those who would fail first; one quiet line where nothing changes."""
        if not self.changes:
            return [f"Nothing changes for {_who_wait(self.waiting)}." if self.waiting else "Nobody waits."]
        ordered = sorted(self.changes, key=lambda change: not change[1].fails)
        return [f"{workflow}: {change.text}" for workflow, change in ordered]

    def as_json(self) -> JsonObject:
        """The same as objects."""
        changes = [{"workflow": workflow} | asdict(change) for workflow, change in self.changes]
        return {"waiting": self.waiting, "changes": changes}

    def refuse_failures(self) -> None:
        """An InvalidInput that names the first change with which people who wait would fail."""
        for workflow, change in self.changes:
            if change.fails:
                raise InvalidInput(
                    field=f"{workflow}: step {change.step!r}",
                    problem=f"{_who_wait(change.people)} would fail; nothing was deployed",
                    remedy="Give the step a new key, or deploy with --force",
                )


def of_release(settings: Settings, found: Registry) -> Impact:
    """What these workflows change for those who wait in the store; nobody waits in one that is not there yet."""
    database = Database(settings.database_url)
    try:
        if not _is_there(database):
            return Impact()
        contents = Contents(settings.flows / "templates", {}, database=database, environment=settings.environment)
        with database.read() as connection:
            return touched(connection, settings.environment, found, contents)
    finally:
        database.close()


def _is_there(database: Database) -> bool:
    file = database.url.database if database.is_sqlite else None
    if (file is not None and not Path(file).exists()) or not schema.exists(database):
        return False
    if not schema.is_current(database):
        raise InvalidInput(
            field="database", problem="its schema is of another release", remedy="Run `notify db upgrade` first"
        )
    return True


def touched(connection: sa.Connection, environment: str, found: Registry, contents: Contents) -> Impact:
    """What the workflows as they are now change for those who wait."""
    groups = _groups(connection, environment)
    changes = [
        (group.workflow, change)
        for group in groups
        for change in _of_one(group, found.workflows.get(group.workflow), contents)
    ]
    return Impact(sum(group.waiting for group in groups), changes)


@dataclass(slots=True)
class _Group:
    """Those who wait in one workflow: by version, by what they remember, and in open windows."""

    workflow: str
    versions: dict[str, int] = field(default_factory=lambda: dict[str, int]())
    standing: list[Standing] = field(default_factory=lambda: list[Standing]())
    windows: list[Collecting] = field(default_factory=lambda: list[Collecting]())
    #: What it was in each version: rows of the store.
    begun: dict[str, Any] = field(default_factory=lambda: dict[str, Any]())

    @property
    def waiting(self) -> int:
        return sum(self.versions.values())


def _groups(connection: sa.Connection, environment: str) -> list[_Group]:
    groups: dict[str, _Group] = {}
    for row in standing.people(connection, environment):
        groups.setdefault(row.workflow, _Group(row.workflow)).versions[row.version or ""] = row.people
    ids = {version for group in groups.values() for version in group.versions if version}
    begun = {(row.workflow, row.version): row for row in standing.begun(connection, environment, ids)}
    shapes = {place: kept(row.steps) for place, row in begun.items()}
    for (workflow, version), row in begun.items():
        if workflow in groups:
            groups[workflow].begun[version] = row
    for row in standing.remembered(connection, environment):
        was = shapes.get((row.workflow, row.version), _UNKNOWN)
        groups.setdefault(row.workflow, _Group(row.workflow)).standing.append(
            Standing(was, row.key, row.kind, row.state, row.people)
        )
    for row in standing.collecting(connection, environment):
        group = groups.setdefault(row.workflow, _Group(row.workflow))
        group.windows.append(Collecting(row.step, {"mode": row.mode, **(row.rule or {})}, row.windows))
    return list(groups.values())


_UNKNOWN = Shape()


def _of_one(group: _Group, workflow: Workflow | None, contents: Contents) -> Iterator[Change]:
    if workflow is None:
        yield from [_no_longer_there(group)] if group.waiting else []
        return
    yield from of_steps(workflow.shape, group.standing)
    was = {kept(row.steps).code for row in group.begun.values()}
    changed = was != {workflow.shape.code}
    yield from of_windows(workflow.id, workflow.shape, group.windows, code_changed=changed)
    yield from _of_texts(group, contents.texts(workflow.id))
    yield from _of_versions(group, workflow.version)


def _no_longer_there(group: _Group) -> Change:
    who = _many(group.waiting, "person waits", "people wait")
    text = (
        f"{who} in a workflow that is no longer there: they stay until it comes back, "
        "or until `notify cancel` ends what they wait for"
    )
    return Change("workflow_gone", text, group.waiting)


def _of_texts(group: _Group, texts: Mapping[str, str]) -> Iterator[Change]:
    count = sum(group.versions[version] for version, row in group.begun.items() if row.templates != texts)
    if count:
        who = _many(count, "waiting person keeps", "waiting people keep")
        text = f"templates changed: {who} the texts they started with"
        yield Change("texts_kept", text, count)


def _of_versions(group: _Group, version: str) -> Iterator[Change]:
    counts: dict[str, int] = {}
    for id_, row in group.begun.items():
        if (row.named or "") != version:
            counts[row.named or ""] = counts.get(row.named or "", 0) + group.versions[id_]
    for named, count in sorted(counts.items()):
        who = _many(count, "waiting person goes", "waiting people go")
        text = f"{who} on as version {named!r}; it is {version!r} now"
        yield Change("version_kept", text, count)


def _many(count: int, one: str, more: str) -> str:
    return f"1 {one}" if count == 1 else f"{count:,} {more}"


def _who_wait(count: int) -> str:
    return _many(count, "person who waits", "people who wait")
