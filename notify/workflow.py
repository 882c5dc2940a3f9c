"""What an author holds: `@workflow`, the `Notification` a body gets, events of the catalogue, ports to facts."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast, get_args, get_origin, get_type_hints

import pydantic

from notify import steps
from notify.errors import InvalidInput, InvalidWorkflow
from notify.model import Channel, Delivery, Event, JsonObject, Priority, Subscriber
from notify.steps import Burst, Calendar, Decision, Skip, Step

P = TypeVar("P")
T = TypeVar("T")
Body = Callable[["Notification[Any]"], Coroutine[Any, Any, "Skip | None"]]

#: `inngest/function.failed` and `notify/workflow.failed` name the same event.
_SYSTEM = re.compile(r"^inngest/function\.(failed|finished|cancelled)$")
_ID = re.compile(r"^[a-z0-9]+(-[a-z0-9]+)*$")
#: Retries of a step or body after its first try, so three mean four tries in all.
RETRIES = 3


class Notification(Generic[P]):
    """One workflow for one subscriber for one trigger: what a workflow's body is about."""

    def __init__(
        self,
        *,
        id: str,
        event: Event,
        payload: P,
        subscriber: Subscriber,
        started_at: datetime,
        parameters: Mapping[str, Any],
        actor: str | None = None,
        tenant: str | None = None,
    ) -> None:
        self.id = id
        self.event = event
        self.payload = payload
        self.subscriber = subscriber
        self.started_at = started_at
        self.parameters = parameters
        self.actor = actor
        self.tenant = tenant

    def in_app(self, step: str, **context: Any) -> Step[Decision]:
        """A message in the person's inbox, from the template `<step>.in_app.j2`."""
        return self._send(Channel.IN_APP, step, context)

    def email(self, step: str, **context: Any) -> Step[Decision]:
        """An e-mail, from the template `<step>.email.j2`."""
        return self._send(Channel.EMAIL, step, context)

    def push(self, step: str, **context: Any) -> Step[Decision]:
        """A push notification, from the template `<step>.push.j2`."""
        return self._send(Channel.PUSH, step, context)

    def _send(self, channel: Channel, step: str, context: Mapping[str, Any]) -> Step[Decision]:
        return steps.Send(f"{step}.{channel.value}", channel, step, context)

    def run(self, key: str, function: Callable[..., Any], *args: Any, **options: Any) -> Step[Any]:
        """`function(*args, **options)`, remembered once it succeeded: any I/O of your own goes through here.

        Its result is validated against the function's return annotation and must be JSON-serialisable.
        """
        return steps.Run(key, function, args, options)

    def emit(self, name: str, data: Any, *, key: str | None = None, id: str | None = None) -> Step[str]:
        """Emit an event, once; answers its uid."""
        return steps.Emit(key or f"emit:{name}", name, data, id)

    def trigger(self, workflow: str, *, to: Any, payload: Any = None, key: str | None = None) -> Step[str]:
        """Run another workflow for `to`, once; answers the transaction id."""
        return steps.Trigger(key or f"trigger:{workflow}", workflow, to, payload)

    def sleep(self, key: str, **length: float) -> Step[bool]:
        """Wait for `weeks= days= hours= minutes= seconds=`; survives restarts and holds no worker."""
        return steps.Sleep(key, None, _length(key, length))

    def sleep_until(self, key: str, instant: datetime) -> Step[bool]:
        """Wait until an aware instant; answers False, at once and for good, when it had already passed."""
        if instant.tzinfo is None:
            raise InvalidInput(
                field=f"sleep_until({key!r})",
                problem=f"{instant} is naive",
                remedy="Give it a zone, such as datetime(…, tzinfo=UTC)",
            )
        return steps.Sleep(key, instant)

    def digest(
        self,
        name: str,
        *,
        key: Any = "",
        at: time | str | None = None,
        weekdays: str = "mon-sun",
        **length: float,
    ) -> Step[Burst]:
        """Collect what else comes for this person (and `key`): one notification carries on with all, the rest merge.

        A fixed window takes its length (`minutes=15`) and starts with the first event's own time. `at="09:00"` with
        `weekdays="mon-fri"` collects until that time in the person's zone; a cron deployment closes it.
        """
        if at is not None:
            return steps.Digest(name, str(key), None, Calendar(_time(name, at), _weekdays(name, weekdays)))
        return steps.Digest(name, str(key), _length(name, length))

    def is_read(self, step: str, *, at: str) -> Step[bool]:
        """Whether the in-app message of `step` has been read by now, remembered under the key `at`."""
        return steps.IsRead(at, step)

    def all(self, *requests: Step[Any]) -> steps.All[Any]:
        """Several steps in one round; answers their results in order."""
        return steps.All(requests)

    def skip(self, reason: str) -> Skip:
        """`return n.skip("too_late")` ends the body and keeps the reason with the notification."""
        return Skip(reason)


def _length(key: str, parts: Mapping[str, float]) -> timedelta:
    try:
        length = timedelta(**parts)
    except TypeError:
        raise InvalidInput(
            field=key, problem=f"{dict(parts)} is no length", remedy="Use weeks, days, hours, minutes or seconds"
        ) from None
    if length <= timedelta():
        raise InvalidInput(field=key, problem=f"a wait of {length}", remedy="Give it a positive length")
    return length


def _time(name: str, at: time | str) -> time:
    try:
        return at if isinstance(at, time) else time.fromisoformat(at)
    except ValueError:
        raise InvalidInput(field=name, problem=f"at={at!r} is no time of day", remedy='Write "09:00"') from None


_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _weekdays(name: str, text: str) -> frozenset[int]:
    days: set[int] = set()
    try:
        for part in text.split(","):
            first, _, last = part.strip().partition("-")
            start, end = _DAYS.index(first), _DAYS.index(last or first)
            days.update(range(start, end + 1))
    except ValueError:
        raise InvalidInput(field=name, problem=f"weekdays={text!r}", remedy='Write "mon-fri" or "mon,thu"') from None
    return frozenset(days)


# --- who is told --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Nobody:
    """A resolver's answer when an event concerns nobody, with the reason for the log."""

    reason: str


Recipient = str | JsonObject
Recipients = Nobody | Recipient | Sequence[Recipient] | None


def bulk(function: T) -> T:
    """Mark a function that takes the lists of all callers' arguments and returns a list: one query for everybody."""
    function.__notify_bulk__ = True  # type: ignore[attr-defined]
    return function


def is_bulk(function: Callable[..., Any]) -> bool:
    """Whether the function was marked with `bulk`."""
    return getattr(function, "__notify_bulk__", False)


@dataclass(frozen=True, slots=True)
class CancelOn:
    """An event that ends waiting notifications whose own event has an equal value under `key`.

    `reason` is kept with each; a function gets (its event, the newer event) and answers None to leave it waiting.
    """

    event: str
    key: str
    reason: str | Callable[[Event, Event], str | None]


# --- workflows ----------------------------------------------------------------------------------


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
    priority: Priority = Priority.NORMAL
    tags: tuple[str, ...] = ()
    urgent: bool = False
    retries: int = RETRIES
    cancel_on: tuple[CancelOn, ...] = ()
    delivery: Delivery = Delivery.AT_LEAST_ONCE
    parameters: Mapping[str, Any] = field(default_factory=lambda: {})
    version: str = ""
    file: Path = Path()

    def __call__(self, notification: Notification[Any]) -> Coroutine[Any, Any, Skip | None]:
        """The body for one notification."""
        return self.body(notification)

    @property
    def cancel_field(self) -> str | None:
        """The field whose value must be equal for `cancel_on`."""
        return self.cancel_on[0].key if self.cancel_on else None


def workflow(
    id: str,
    *,
    on: str | Sequence[str] = (),
    to: Recipients | Callable[..., Any] = None,
    name: str = "",
    preferences: Mapping[str, bool] | None = None,
    critical: bool = False,
    priority: str = "normal",
    tags: Sequence[str] = (),
    urgent: bool = False,
    retries: int = RETRIES,
    cancel_on: CancelOn | Sequence[CancelOn] = (),
    delivery: str = "at_least_once",
    parameters: Mapping[str, Any] | None = None,
    version: str = "",
) -> Callable[[Callable[[Notification[Any]], Coroutine[Any, Any, Skip | None]]], Workflow]:
    """Register an async function about one notification as the workflow `id` (lower case, hyphens).

    `on` names the events that start it, `to` says whom they concern: ids, or a function of the event that answers
    ids, `Nobody(reason)` or None. `preferences` switches channels off for everybody, `critical` overrides what people
    chose. `parameters` are numbers and texts that NOTIFY_<WORKFLOW>_<PARAMETER> may replace.
    """

    def register(body: Callable[[Notification[Any]], Coroutine[Any, Any, Skip | None]]) -> Workflow:
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
            priority=Priority[priority.upper()],
            tags=tuple(tags),
            urgent=urgent,
            retries=retries,
            cancel_on=(cancel_on,) if isinstance(cancel_on, CancelOn) else tuple(cancel_on),
            delivery=Delivery(delivery),
            parameters=_parameters(id, parameters or {}),
            version=version,
            file=file,
        )
        _check(made, body)
        _collect(made)
        return made

    return register


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
    if len({cancel.key for cancel in made.cancel_on}) > 1:
        raise InvalidWorkflow(
            where=where, problem="cancel_on uses several keys", remedy="Let every entry use the same field"
        )


# --- the catalogue of events --------------------------------------------------------------------


@dataclass(frozen=True)
class EventType:
    """An event of the catalogue: its name, its model, and the field that says what it is about."""

    name: str
    model: type[pydantic.BaseModel]
    subject: str | None = None


def event(name: str, *, subject: str | None = None) -> Callable[[type[Any]], type[Any]]:
    """Add a pydantic model to the catalogue: events of this name are validated by it when they are emitted."""

    def register(model: type[Any]) -> type[Any]:
        _collect(EventType(name, model, subject))
        return model

    return register


_collecting: ContextVar[list[Any] | None] = ContextVar("notify_collecting", default=None)


def _collect(found: Workflow | EventType) -> None:
    collected = _collecting.get()
    if collected is not None:
        collected.append(found)


@contextmanager
def collecting() -> Generator[list[Any]]:
    """What is registered while the block runs."""
    found: list[Any] = []
    token = _collecting.set(found)
    try:
        yield found
    finally:
        _collecting.reset(token)


def is_collecting() -> bool:
    """True while workflow files are read for their definitions only."""
    return _collecting.get() is not None


# --- facts --------------------------------------------------------------------------------------


class History(Protocol):
    """The events taken in so far, as a source of facts."""

    def about(self, names: Sequence[str], subjects: Sequence[str]) -> Mapping[str, Sequence[Event]]:
        """Accepted events of these names about each subject, oldest first."""
        ...


_history: ContextVar[History | None] = ContextVar("notify_history", default=None)


def history() -> History:
    """The stored events, inside a resolver or a function given to `n.run`."""
    found = _history.get()
    if found is None:
        raise RuntimeError("history() is available in resolvers and in functions given to n.run")
    return found


@contextmanager
def with_history(source: History) -> Generator[None]:
    """Make `source` what `history()` answers while the block runs."""
    token = _history.set(source)
    try:
        yield
    finally:
        _history.reset(token)


class Port(Generic[T]):
    """A named source of facts. NOTIFY_PORT_<NAME>="module:attribute" puts the application's own in its place."""

    def __init__(self, name: str, default: T) -> None:
        self.name = name
        self.default = default

    def __call__(self) -> T:
        """The implementation in force."""
        variable = f"NOTIFY_PORT_{self.name.upper()}"
        target = os.environ.get(variable)
        if not target:
            return self.default
        try:
            return pydantic.TypeAdapter(pydantic.ImportString[Any]).validate_python(target)
        except pydantic.ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise InvalidInput(field=variable, problem=problem, remedy='Write "module:attribute"') from None
