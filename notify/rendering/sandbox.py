"""The sandbox templates run in: what they can reach, and how a missing value is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, cast

import jinja2
from jinja2 import nodes
from jinja2.runtime import Context, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment

from notify.rendering import filters

#: What a message stands on when its file extends no layout.
ALONE = "(no layout)"
#: Remembered at most; a template can make up names (`payload[other]`), so there must be an end.
_VERDICTS = 4096
#: Changes a parsed template before it is compiled.
Shape = Callable[[nodes.Template], nodes.Template]


class Missing(jinja2.StrictUndefined):
    """A value nobody gave. Any use of it fails, and the failure says which one it was."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        if self._undefined_hint:
            return self._undefined_hint
        name, owner = self._undefined_name, self._undefined_obj
        if isinstance(owner, Mapping):
            known = ", ".join(sorted(str(key) for key in cast(Mapping[Any, Any], owner))) or "nothing"
            return f"`{name}` is missing; there is {known}"
        if owner is jinja2.utils.missing:
            return f"`{name}` is missing"
        return f"`{name}` is missing from {type(owner).__name__}"


class Sandbox(ImmutableSandboxedEnvironment):
    """Reads values and changes none. Private attributes are refused, and a mapping's keys go before its methods."""

    # Untyped in Jinja, which would make all that is read from them unknown.
    globals: Any
    filters: Any

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._verdicts: dict[tuple[type, str], bool] = {}
        self._ready: dict[str, jinja2.Template] = {}

    def get_template(self, name: Any, parent: str | None = None, globals: Any = None) -> jinja2.Template:
        """A template of this version, which never changes: no look at its loader's age for each message."""
        found = self._ready.get(name)
        if found is None:
            found = self._ready[name] = super().get_template(name, parent, globals)
        return found

    def call(self, context: Context, obj: Any, /, *args: Any, **options: Any) -> Any:
        """A macro is the author's own and safe; anything else is looked at first."""
        if type(obj) is not Macro:
            return super().call(context, obj, *args, **options)
        for name in ("_block_vars", "_loop_vars"):
            options.pop(name, None)
        return obj(context.eval_ctx, *args, **options)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """What a template's `obj.attribute` means."""
        # A payload may well have a field called `items` or `values`: the application's word counts, not Python's.
        # `dict` is named first because asking an abstract class is several times dearer.
        if isinstance(obj, (dict, Mapping)) and attribute in obj:
            return cast(Mapping[str, Any], obj)[attribute]
        return super().getattr(obj, attribute)

    def is_safe_attribute(self, obj: object, attr: str, value: object) -> bool:
        """Jinja's own rule, asked once for each class and name: it was a third of the time a message took."""
        key = type(obj), attr
        if key not in self._verdicts:
            if len(self._verdicts) >= _VERDICTS:
                self._verdicts.clear()
            self._verdicts[key] = super().is_safe_attribute(obj, attr, value)
        return self._verdicts[key]


class Sources(jinja2.BaseLoader):
    """Exactly the sources one version is made of, so that a layout saved since never mixes with an old message."""

    def __init__(self, sources: Mapping[str, str], shape: Shape, *, message: str | None) -> None:
        """`shape` is applied to every file; `message`, if any, stands on `ALONE` where it extends nothing."""
        self._sources = sources
        self._shape = shape
        self._message = message

    def load(self, environment: jinja2.Environment, name: str, globals: Any = None) -> jinja2.Template:
        """Parse, shape and compile."""
        if name not in self._sources:
            raise jinja2.TemplateNotFound(name)
        tree = self._shape(environment.parse(self._sources[name], name, name))
        if name == self._message and tree.find(nodes.Extends) is None:
            tree.body.insert(0, nodes.Extends(nodes.Const(ALONE, lineno=1), lineno=1))
        tree.set_environment(environment)
        code = environment.compile(tree, name, name)
        # A plain dict: Jinja's chained one is looked through several times a message.
        return environment.template_class.from_code(environment, code, dict(globals or {}))


def sandbox(*, html: bool, global_variables: Mapping[str, Any]) -> Sandbox:
    """A sandbox for HTML, which escapes what it fills in, or for plain text, which does not."""
    made = Sandbox(
        autoescape=html,
        undefined=Missing,
        finalize=_nothing_for_none,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    for name in filters.UNUSED_GLOBALS:
        del made.globals[name]
    made.globals.update(global_variables)
    made.filters.update(filters.EVERYWHERE)
    if not html:
        made.filters.update(filters.IN_TEXT)
    return made


def _nothing_for_none(value: Any) -> Any:
    return "" if value is None else value


def place(traceback: TracebackType | None) -> tuple[str, int] | None:
    """The template and line an exception came through last.

    Read from the raw frames, because Jinja's own rewriting of a traceback costs more than rendering the message.
    """
    found: tuple[str, int] | None = None
    while traceback is not None:
        template = traceback.tb_frame.f_globals.get("__jinja_template__")
        if isinstance(template, jinja2.Template):
            found = template.name or "", template.get_corresponding_lineno(traceback.tb_lineno)
        traceback = traceback.tb_next
    return found
