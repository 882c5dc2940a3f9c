"""One version of one message's template, and how it is filled in for a person."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import jinja2
from jinja2 import nodes

from notify.errors import InvalidTemplate, RenderFailed
from notify.model import Channel, Content
from notify.rendering import filters, shaping
from notify.rendering.sandbox import ALONE, Sandbox, Shape, Sources, place, sandbox

#: What an e-mail stands on when it extends no layout; the other channels use their blocks only.
_BARE_EMAIL = "{% block body %}{% endblock %}"
#: A text message without blocks is the whole of its file.
_NEEDED = {Channel.EMAIL: ("subject", "body"), Channel.PUSH: ("subject", "body"), Channel.SMS: ()}
_ACTIONS = {"primary_action": "primaryAction", "secondary_action": "secondaryAction"}
#: Line breaks would start a new header, and no control character belongs into a line people read.
_NOT_IN_A_LINE = re.compile(r"[\s\x00-\x1f\x7f]+")


def version(sources: Mapping[str, str]) -> str:
    """What names a template's text, layouts included: a SHA-256 in hexadecimal."""
    return hashlib.sha256("\0".join(sources.values()).encode()).hexdigest()


class Template:
    """A message ready to be filled in. It never changes: saving a file makes another one, with another version."""

    def __init__(
        self, name: str, channel: Channel, sources: Mapping[str, str], global_variables: Mapping[str, Any]
    ) -> None:
        """Compile `sources[name]` and all it refers to; an InvalidTemplate names the file and line at fault."""
        self.name = name
        self.channel = channel
        #: The file's own text and that of every layout it uses, by name.
        self.sources = dict(sources)
        #: Equal exactly where all the sources are equal.
        self.version = version(self.sources)
        self._has_body = "body" in self._checked_blocks()
        make = partial(self._compile, global_variables)
        if channel is Channel.EMAIL:
            self._html = make(html=True, shape=shaping.guard_links)
            self._text = make(html=False, shape=lambda tree: shaping.as_text(shaping.guard_links(tree)))
        else:
            self._text = make(html=False, shape=lambda tree: tree)
        #: Whether a line of the file beside its blocks has to run: `set`, `import`, `extends`.
        self._says_more = channel is Channel.EMAIL or not self._has_body or not _only_blocks(self.sources[name])

    def render(self, context: Mapping[str, Any]) -> Content:
        """The message for one person; RenderFailed says which file, line and value kept it from being made."""
        try:
            return self._filled(dict(context))
        except Exception as error:
            # A template is an author's code over an application's data: whatever it raises concerns this person only.
            at, line = place(error.__traceback__) or (self.name, 1)
            raise RenderFailed(template=at, line=line, problem=_problem(error)) from None

    def _filled(self, context: dict[str, Any]) -> Content:
        match self.channel:
            case Channel.EMAIL:
                return self._email(context)
            case Channel.IN_APP:
                return self._in_app(context)
            case Channel.SMS:
                return self._sms(context)
            case _:
                return self._plain(context)

    def _email(self, context: dict[str, Any]) -> Content:
        html, text = _Filled(self._html, context), _Filled(self._text, context)
        written = text.block("text")
        return Content(
            subject=text.line("subject"),
            body=html.whole.strip(),
            text=shaping.tidy(text.whole) if written is None else written.strip(),
        )

    def _in_app(self, context: dict[str, Any]) -> Content:
        filled = _Filled(self._text, context, self._says_more)
        extra: dict[str, Any] = {}
        if url := _address(filled.line("redirect")):
            extra["redirect"] = {"url": url, "target": "_self"}
        for block, key in _ACTIONS.items():
            if action := _action(filled.line(block)):
                extra[key] = action
        return Content(filled.line("subject") or None, (filled.block("body") or "").strip(), extra=extra)

    def _sms(self, context: dict[str, Any]) -> Content:
        filled = _Filled(self._text, context, self._says_more)
        return Content(None, shaping.tidy((filled.block("body") or "") if self._has_body else filled.whole))

    def _plain(self, context: dict[str, Any]) -> Content:
        filled = _Filled(self._text, context, self._says_more)
        return Content(filled.line("subject") or filled.line("title") or None, (filled.block("body") or "").strip())

    def _compile(self, global_variables: Mapping[str, Any], *, html: bool, shape: Shape) -> jinja2.Template:
        environment = sandbox(html=html, global_variables=global_variables)
        sources = {ALONE: _BARE_EMAIL if self.channel is Channel.EMAIL else "", **self.sources}
        environment.loader = Sources(sources, shape, message=self.name if self._has_body else None)
        for name in reversed(sources):
            _compiled(environment, name)
        return environment.get_template(self.name)

    def _checked_blocks(self) -> set[str]:
        environment = sandbox(html=False, global_variables={})
        found = {
            block.name
            for name in reversed(self.sources)
            for block in self._parsed(environment, name).find_all(nodes.Block)
        }
        for block in _NEEDED.get(self.channel, ("body",)):
            if block not in found and not (block == "subject" and self.channel is Channel.PUSH and "title" in found):
                problem = f"there is no {{% block {block} %}} in it"
                raise InvalidTemplate(template=self.name, line=1, problem=problem)
        return found

    def _parsed(self, environment: Sandbox, name: str) -> nodes.Template:
        try:
            return environment.parse(self.sources[name], name)
        except jinja2.TemplateSyntaxError as error:
            raise invalid(error, name) from None


class _Filled:
    """A compiled template over one person's values: the whole of it, and each block by itself."""

    def __init__(self, template: jinja2.Template, context: dict[str, Any], whole: bool = True) -> None:
        self._context = template.new_context(context)
        # Filling the whole also runs the file's own `set` and `import` lines and puts its blocks over the layout's.
        # Not `template.render`: that rewrites tracebacks, which makes each failure dearer than many messages.
        self.whole = "".join(template.root_render_func(self._context)) if whole else ""

    def block(self, name: str) -> str | None:
        found = self._context.blocks.get(name)
        return "".join(found[0](self._context)) if found else None

    def line(self, name: str) -> str:
        return _NOT_IN_A_LINE.sub(" ", self.block(name) or "").strip()


def _only_blocks(source: str) -> bool:
    body = sandbox(html=False, global_variables={}).parse(source).body
    return all(isinstance(node, nodes.Block | nodes.Output) for node in body)


def _compiled(environment: Sandbox, name: str) -> None:
    try:
        environment.get_template(name)
    except jinja2.TemplateSyntaxError as error:
        raise invalid(error, name) from None


def invalid(error: jinja2.TemplateSyntaxError, name: str) -> InvalidTemplate:
    """Jinja's complaint about the file `name`, as ours."""
    problem = (error.message or "it cannot be read").rstrip(".")
    return InvalidTemplate(template=error.name or name, line=error.lineno, problem=problem)


def _problem(error: Exception) -> str:
    return str(error) if isinstance(error, jinja2.TemplateError) else f"{type(error).__name__}: {error}"


def _address(url: str) -> str:
    """A place inside the application ("/tasks/1"), or a URL that is safe to follow."""
    inside = url.startswith("/") and not url.startswith(("//", "/\\"))
    return url if inside else filters.safe_url(url)


def _action(text: str) -> dict[str, Any] | None:
    """A button written "Label | url"; without a URL it is the application that knows what the button does."""
    label, bar, url = text.rpartition("|")
    if not bar:
        return {"label": text} if text else None
    address = _address(url.strip())
    target = {"redirect": {"url": address, "target": "_self"}} if address else {}
    return {"label": label.strip(), **target} if label.strip() else None
