"""Which text a notification is sent with: the one its workflow's templates had when it started."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from notify.errors import InvalidTemplate, TemplateMissing
from notify.model import Channel
from notify.rendering.compose import Template
from notify.rendering.templates import Templates
from notify.store import versions
from notify.store.database import Database
from notify.workflow import Workflow


class Contents:
    """The templates as they are, and as they were for whoever waited meanwhile."""

    def __init__(
        self, folder: Path, global_variables: Mapping[str, Any], *, database: Database, environment: str
    ) -> None:
        self._global_variables = global_variables
        self._templates = Templates([folder], global_variables)
        self._database = database
        self._environment = environment
        self._current: dict[str, str] = {}
        self._earlier: dict[tuple[str, str], Templates] = {}
        self._named: dict[tuple[str, str], str] = {}

    def messages(self, workflow: str) -> list[tuple[str, Channel]]:
        """The (step, channel) pairs a workflow has templates for."""
        return self._templates.messages(workflow)

    def texts(self, workflow: str) -> Mapping[str, str]:
        """Every file the workflow's messages consist of; none while one of them is broken, and nothing is pinned."""
        try:
            return self._templates.texts(workflow)
        except InvalidTemplate:
            return {}

    def check(self, workflow: str) -> None:
        """Compile every message of a workflow; the first that cannot be is an InvalidTemplate."""
        self._templates.check(workflow)

    def version(self, workflow: Workflow) -> str:
        """What tells this state of a workflow from others: its own version, its code and the text of its templates."""
        if workflow.id not in self._current:
            texts = sorted(self.texts(workflow.id).items())
            words = [workflow.version, workflow.shape.code, *(word for item in texts for word in item)]
            self._current[workflow.id] = hashlib.sha256("\0".join(words).encode()).hexdigest()
        return self._current[workflow.id]

    def named(self, connection: sa.Connection, workflow: str, ids: Iterable[str | None]) -> Mapping[str, str]:
        """What the workflow's author had named each of these versions: asked of the store once."""
        wanted = {id_ for id_ in ids if id_ is not None}
        if missing := {id_ for id_ in wanted if (workflow, id_) not in self._named}:
            found = versions.named(connection, self._environment, workflow, missing)
            self._named |= {(workflow, id_): found.get(id_, "") for id_ in missing}
        return {id_: self._named[workflow, id_] for id_ in wanted}

    def find(self, workflow: str, step: str, channel: Channel, locale: str | None, version: str | None) -> Template:
        """The template for people of this locale, of the version a notification started with."""
        if version is None or version == self._current.get(workflow):
            return self._templates.find(workflow, step, channel, locale)
        try:
            return self._of(workflow, version).find(workflow, step, channel, locale)
        except TemplateMissing:
            # A step that came after the notification began has no earlier text.
            return self._templates.find(workflow, step, channel, locale)

    def _of(self, workflow: str, version: str) -> Templates:
        if (workflow, version) not in self._earlier:
            with self._database.read() as connection:
                texts = versions.load(connection, self._environment, workflow, version)
            same = not texts or texts == self.texts(workflow)
            earlier = self._templates if same else Templates.of_texts(texts or {}, self._global_variables)
            self._earlier[workflow, version] = earlier
        return self._earlier[workflow, version]
