"""The folders of templates: which file serves whom, and what has been compiled of it."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import jinja2
from jinja2 import nodes

from notify.errors import InvalidTemplate, TemplateMissing
from notify.model import Channel
from notify.rendering.compose import Template, invalid
from notify.rendering.sandbox import sandbox

_SUFFIX = ".j2"
_REFERENCES = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)
_PARSER = sandbox(html=False, global_variables={})
#: Files and messages that a process keeps compiled, whichever folder, environment or earlier version they are of.
KEPT = 512


class Templates:
    """Every template under some folders; a file in an earlier folder hides its namesake in a later one.

    A message is `<workflow>/<step>.<channel>[.<locale>].j2`. Files are read when this is made, so that all people
    of a batch get the same text whatever is saved meanwhile; what has not changed since another one was made is not
    compiled again.
    """

    def __init__(self, folders: Sequence[Path], global_variables: Mapping[str, Hashable]) -> None:
        self._folders = tuple(folders)
        self._global_variables = dict(global_variables)
        self._files = dict(self._read())
        self._found: dict[str, Template] = {}

    @classmethod
    def of_texts(cls, texts: Mapping[str, str], global_variables: Mapping[str, Hashable]) -> Templates:
        """Templates from texts by name, as `texts` gave them at some time: files are not looked at."""
        made = cls((), global_variables)
        made._files = {name: text.encode() for name, text in texts.items()}
        return made

    def texts(self, workflow: str) -> dict[str, str]:
        """Every file a workflow's messages consist of, layouts included, by name."""
        texts: dict[str, str] = {}
        for name in self._of(workflow):
            texts |= self._template(name).sources
        return texts

    def messages(self, workflow: str) -> list[tuple[str, Channel]]:
        """The (step, channel) pairs a workflow has templates for."""
        names = [name.rpartition("/")[2].split(".") for name in self._of(workflow)]
        return list(dict.fromkeys((parts[0], Channel(parts[1])) for parts in names))

    def _of(self, workflow: str) -> list[str]:
        return [name for name in sorted(self._files) if name.startswith(f"{workflow}/")]

    def find(self, workflow: str, step: str, channel: Channel | str, locale: str | None) -> Template:
        """The message for people of this locale: written for `pt-BR`, else for `pt`, else for everybody.

        Raises TemplateMissing where there is none, InvalidTemplate where it cannot be compiled.
        """
        stem = f"{workflow}/{step}.{Channel(channel)}"
        for name in _spellings(stem, locale):
            if name in self._files:
                return self._template(name)
        raise TemplateMissing(template=stem + _SUFFIX, folder=", ".join(map(str, self._folders)))

    def check(self, workflow: str) -> None:
        """Compile every message of a workflow; the first that cannot be is an InvalidTemplate."""
        for name in self._of(workflow):
            self._template(name)

    def _read(self) -> Iterator[tuple[str, bytes]]:
        for folder in reversed(self._folders):
            for path in sorted(folder.rglob(f"*{_SUFFIX}")):
                with suppress(FileNotFoundError):  # an editor that saves by renaming leaves a moment without the file
                    yield _without_case(path.relative_to(folder).as_posix()), path.read_bytes()

    def _template(self, name: str) -> Template:
        if name not in self._found:
            sources = tuple(self._sources(name, {}).items())
            self._found[name] = _compiled(name, self._channel(name), sources, tuple(self._global_variables.items()))
        return self._found[name]

    def _channel(self, name: str) -> Channel:
        parts = name.rpartition("/")[2].removesuffix(_SUFFIX).split(".")
        try:
            return Channel(parts[1])
        except (IndexError, ValueError):
            problem = f"its name is not <step>.<channel>[.<locale>]{_SUFFIX} with a channel of {', '.join(Channel)}"
            raise InvalidTemplate(template=name, line=1, problem=problem) from None

    def _sources(self, name: str, known: dict[str, str]) -> dict[str, str]:
        """The text of `name` and of every file it refers to."""
        known[name] = self._text(name)
        for reference, line in _references(name, known[name]):
            if reference not in self._files:
                raise InvalidTemplate(template=name, line=line, problem=f"there is no file {reference!r} to refer to")
            if reference not in known:
                self._sources(reference, known)
        return known

    def _text(self, name: str) -> str:
        content = self._files[name]
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise InvalidTemplate(template=name, line=line, problem="it is not written in UTF-8") from None


@lru_cache(maxsize=KEPT)
def _compiled(
    name: str, channel: Channel, sources: tuple[tuple[str, str], ...], variables: tuple[tuple[str, Hashable], ...]
) -> Template:
    """One that never changes, so whoever has the same files may have the same one."""
    return Template(name, channel, dict(sources), dict(variables))


@lru_cache(maxsize=KEPT)
def _references(name: str, source: str) -> Sequence[tuple[str, int]]:
    """The files a text refers to, and the lines."""
    try:
        tree = _PARSER.parse(source, name)
    except jinja2.TemplateSyntaxError as error:
        raise invalid(error, name) from None
    return [_reference(name, node) for node in tree.find_all(_REFERENCES)]


def _reference(name: str, node: nodes.Extends | nodes.Include | nodes.Import | nodes.FromImport) -> tuple[str, int]:
    target = node.template
    if not isinstance(target, nodes.Const) or not isinstance(target.value, str):
        # A version is a hash over all the sources, so they must be known before anybody's values are.
        problem = "the file it refers to must be named in quotes"
        raise InvalidTemplate(template=name, line=node.lineno, problem=problem)
    return target.value, node.lineno


def _spellings(stem: str, locale: str | None) -> Iterator[str]:
    tag = (locale or "").replace("_", "-").lower()
    if tag:
        yield f"{stem}.{tag}{_SUFFIX}"
        yield f"{stem}.{tag.partition('-')[0]}{_SUFFIX}"
    yield stem + _SUFFIX


def _without_case(name: str) -> str:
    """`due.email.pt-BR.j2` and `due.email.pt-br.j2` are one: locales are written either way."""
    stem, dot, locale = name.removesuffix(_SUFFIX).rpartition(".")
    known = {channel.value for channel in Channel}
    return name if locale in known else f"{stem}{dot}{locale.lower().replace('_', '-')}{_SUFFIX}"
