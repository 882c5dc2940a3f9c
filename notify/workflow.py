"""`@workflow`: a function about one person, registered with its options. What authors need is importable from here."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

import pydantic

from notify.cancelling import CancelOn as CancelOn
from notify.cancelling import key_at
from notify.catalogue import collect
from notify.catalogue import event as event
from notify.errors import InvalidInput, InvalidWorkflow
from notify.facts import Port as Port
from notify.facts import bulk as bulk
from notify.facts import history as history
from notify.keys import ABSENT, key_text
from notify.model import Channel, Delivery, Event, JsonObject, Priority
from notify.notification import Notification as Notification
from notify.shapes import Shape, read

P = TypeVar("P")
T = TypeVar("T")
Body = Callable[["Notification[Any]"], Coroutine[Any, Any, Any]]

#: `inngest/function.failed` and `notify/workflow.failed` name the same event.
_SYSTEM = re.compile(r"^inngest/function\.(failed|finished|cancelled)$")
_ID = re.compile(r"^[a-z0-9]+(-[a-z0-9]+)*$")
#: Retries of a step or body after its first try, so three mean four tries in all.
RETRIES = 3


@dataclass(frozen=True, slots=True)
class Nobody:
    """A resolver's answer when an event concerns nobody, with the reason for the log."""

    reason: str


Recipient = str | JsonObject
Recipients = Nobody | Recipient | Sequence[Recipient] | None


@dataclass(frozen=True, slots=True)
class Concurrency:
    """At most `limit` notifications with the same value under `key` are worked on at once, over all workers.

    `key` is a field of the payload, with dots a nested one; without it the limit is the whole workflow's. A payload
    without the field counts as one with null there. Whoever is over the limit stays ready, in its order; who sleeps or
    waits takes no place. The value is noted when a notification is created: to those that were created before the
    workflow had a key, or while it had another, the new one does not apply.
    """

    limit: int
    key: str | None = None

    @property
    def fits(self) -> bool:
        """Whether it can be followed."""
        return type(self.limit) is int and self.limit >= 1 and type(self.key) in (str, type(None))

    def key_of(self, payload: JsonObject) -> str:
        """What a notification with this payload shares its places with."""
        value: Any = payload
        for name in self.key.split(".") if self.key else ():
            value = cast("JsonObject", value).get(name) if isinstance(value, Mapping) else None
        return key_text(value if self.key else ABSENT)


@dataclass(frozen=True, eq=False)
class Workflow:
    """A registered workflow: a body and its options."""

    id: str
    body: Body
    payload: Any
    on: tuple[str, ...] = ()
    to: Recipients | Callable[..., Any] = None
    name: str = ""
    description: str = ""
    preferences: Mapping[Channel, bool] = field(default_factory=lambda: {})
    critical: bool = False
    unbudgeted: bool = False
    priority: Priority = Priority.NORMAL
    tags: tuple[str, ...] = ()
    urgent: bool = False
    retries: int = RETRIES
    cancel_on: tuple[CancelOn, ...] = ()
    concurrency: Concurrency | None = None
    delivery: Delivery = Delivery.AT_LEAST_ONCE
    parameters: Mapping[str, Any] = field(default_factory=lambda: {})
    version: str = ""
    file: Path = Path()

    def __call__(self, notification: Notification[Any]) -> Coroutine[Any, Any, Any]:
        """The body for one notification."""
        return self.body(notification)

    def cancel_key(self, event: Event) -> str | None:
        """Under what `cancel_on` finds the notifications this event starts; None where nothing ends them."""
        return key_at(event, self.cancel_on[0].own_path) if self.cancel_on else None

    def run_key(self, payload: JsonObject) -> str | None:
        """What only so many notifications may share while they are worked on; None where there is no such limit."""
        return self.concurrency.key_of(payload) if self.concurrency else None

    @cached_property
    def shape(self) -> Shape:
        """The steps it may ask for, as its source shows them."""
        return read(self.body, self.parameters)


def workflow(
    id: str,
    *,
    on: str | Sequence[str] = (),
    to: Recipients | Callable[..., Any] = None,
    name: str = "",
    preferences: Mapping[str, bool] | None = None,
    critical: bool = False,
    unbudgeted: bool = False,
    priority: str = "normal",
    tags: Sequence[str] = (),
    urgent: bool = False,
    retries: int = RETRIES,
    cancel_on: CancelOn | Sequence[CancelOn] = (),
    concurrency: Concurrency | None = None,
    delivery: str = "at_least_once",
    parameters: Mapping[str, Any] | None = None,
    version: str = "",
) -> Callable[[Callable[[Notification[Any]], Coroutine[Any, Any, Any]]], Workflow]:
    """Register an async function about one notification as the workflow `id` (lower case, hyphens).

    `on` names the events that start it, `to` says whom they concern: ids, or a function of the event that answers
    ids, `Nobody(reason)` or None. `preferences` switches channels off for everybody, `critical` overrides what people
    chose, their hours and their budgets; `unbudgeted` only their budgets. `parameters` are numbers and texts that
    NOTIFY_<WORKFLOW>_<PARAMETER> may replace. `version` names this state of the workflow: whoever starts now finds it
    in `n.version`, whenever they go on.
    """

    given = {"id": id, "on": on, "name": name, "preferences": preferences or {}, "critical": critical}
    given |= {"unbudgeted": unbudgeted, "priority": priority, "tags": tags, "urgent": urgent, "retries": retries}
    given |= {"cancel_on": cancel_on, "concurrency": concurrency, "delivery": delivery}
    _refuse_wrong(id, given | {"parameters": parameters or {}, "version": version})

    def register(body: Callable[[Notification[Any]], Coroutine[Any, Any, Any]]) -> Workflow:
        file = Path(inspect.getsourcefile(body) or "")
        names = [on] if isinstance(on, str) else list(on)
        made = Workflow(
            id=id,
            body=body,
            payload=_payload(body),
            on=tuple(system_name(event) for event in names),
            to=to,
            name=name or id,
            description=inspect.getdoc(body) or "",
            preferences={Channel(channel): enabled for channel, enabled in (preferences or {}).items()},
            critical=critical,
            unbudgeted=unbudgeted,
            priority=Priority[priority.upper()],
            tags=tuple(tags),
            urgent=urgent,
            retries=retries,
            cancel_on=(cancel_on,) if isinstance(cancel_on, CancelOn) else tuple(cancel_on),
            concurrency=concurrency,
            delivery=Delivery(delivery),
            parameters=_parameters(id, parameters or {}),
            version=version,
            file=file,
        )
        _check(made, body)
        collect(made)
        return made

    return register


def _is_text(it: Any) -> bool:
    return isinstance(it, str)


def _is_switch(it: Any) -> bool:
    return isinstance(it, bool)


def _all_are(kind: type, several: Any) -> bool:
    fits = isinstance(several, Collection) and not isinstance(several, str | Mapping)
    return fits and all(isinstance(one, kind) for one in cast("Collection[Any]", several))


def _maps_texts(it: Any) -> bool:
    return isinstance(it, Mapping) and all(isinstance(name, str) for name in cast("Mapping[Any, Any]", it))


_CHANNELS = [channel.value for channel in Channel]
_PRIORITIES = [priority.name.lower() for priority in Priority]
_DELIVERIES = [delivery.value for delivery in Delivery]
#: What each option has to be, and what to write where it is not.
_OPTIONS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "id": (_is_text, 'Write a text, such as "order-shipped"'),
    "on": (
        lambda it: _is_text(it) or _all_are(str, it),
        'Write the name of an event, or several: on=["a", "b"]',
    ),
    "name": (_is_text, "Write a text"),
    "preferences": (
        lambda it: _maps_texts(it) and set(it) <= {*_CHANNELS} and _all_are(bool, [*it.values()]),
        f"Write True or False for each of {', '.join(_CHANNELS)} that is to be so",
    ),
    "critical": (_is_switch, "Write True or False"),
    "unbudgeted": (_is_switch, "Write True or False"),
    "priority": (lambda it: _is_text(it) and it.lower() in _PRIORITIES, f"Write {' or '.join(_PRIORITIES)}"),
    "tags": (lambda it: _all_are(str, it), 'Write a list of texts, such as tags=["billing"]'),
    "urgent": (_is_switch, "Write True or False"),
    "retries": (lambda it: type(it) is int and it >= 0, "Write a whole number, 0 for none"),
    "cancel_on": (
        lambda it: isinstance(it, CancelOn) or _all_are(CancelOn, it),
        'Write CancelOn("order/cancelled", key="orderId"), or several of them',
    ),
    "concurrency": (
        lambda it: it is None or (isinstance(it, Concurrency) and it.fits),
        'Write Concurrency(5) or Concurrency(5, key="account"), with a limit of at least 1',
    ),
    "delivery": (lambda it: _is_text(it) and it in _DELIVERIES, f"Write {' or '.join(_DELIVERIES)}"),
    "parameters": (_maps_texts, 'Write their values under their names: parameters={"days": 3}'),
    "version": (_is_text, 'Write a text, such as version="2"'),
}


def _refuse_wrong(id: Any, given: Mapping[str, Any]) -> None:
    """Each of these is looked at for every event or everybody's batch: a wrong one is refused with its file."""
    for option, value in given.items():
        fits, remedy = _OPTIONS[option]
        if not fits(value):
            raise InvalidWorkflow(
                where=f"workflow {id!r}", problem=f"{option}={value!r} is not possible", remedy=remedy
            )


def system_name(event: str) -> str:
    """Our spelling of a system event's name; other names are their own."""
    return _SYSTEM.sub(r"notify/workflow.\1", event)


def _payload(body: Callable[..., Any]) -> Any:
    """The payload's model, from the annotation `n: Notification[Model]`; a plain mapping when there is none."""
    hints = get_type_hints(body)
    for hint in hints.values():
        if get_origin(hint) is Notification:
            return get_args(hint)[0]
    return dict[str, Any]


def _parameters(id: str, declared: Mapping[str, Any]) -> dict[str, Any]:
    """The declared values, each replaced by NOTIFY_<WORKFLOW>_<PARAMETER> where that is set, of the same type."""
    values: dict[str, Any] = {}
    for name, default in declared.items():
        variable = re.sub(r"\W", "_", f"NOTIFY_{id}_{name}").upper()
        text = os.environ.get(variable)
        values[name] = default if text is None else _parsed(variable, text, cast("type[Any]", type(default)))
    return values


def _parsed(variable: str, text: str, kind: type[T]) -> T:
    try:
        return pydantic.TypeAdapter(kind).validate_python(text)
    except pydantic.ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise InvalidInput(
            field=variable, problem=f"{text!r}: {problem}", remedy=f"Give it a {kind.__name__}"
        ) from None


def _check(made: Workflow, body: Callable[..., Any]) -> None:
    where = f"workflow {made.id!r}"
    if not _ID.match(made.id):
        raise InvalidWorkflow(where=where, problem="the id is not lower-case-with-hyphens", remedy="Rename it")
    if not inspect.iscoroutinefunction(body):
        raise InvalidWorkflow(where=where, problem="the body is not async", remedy="Write `async def`")
    if len({cancel.own_path for cancel in made.cancel_on}) > 1:
        raise InvalidWorkflow(
            where=where,
            problem="cancel_on looks at several fields of the notification's own event",
            remedy="Let every entry compare the same field",
        )
