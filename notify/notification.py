"""What a workflow's body gets: one notification, and the steps it may ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, time, timedelta
from typing import Any, Generic, TypeVar

from notify import steps
from notify.errors import InvalidInput
from notify.model import Channel, Event, Subscriber
from notify.steps import Burst, Calendar, Decision, Skip, Step

P = TypeVar("P")


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
