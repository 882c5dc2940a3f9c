"""What a workflow's body gets: one notification, and the steps it may ask for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, time
from typing import Any, Generic, TypeVar, cast

from notify import digests, steps, timing
from notify.errors import InvalidInput
from notify.expressions import expression
from notify.keys import ABSENT, key_text
from notify.model import Channel, Event, Subscriber
from notify.steps import Burst, Decision, Fact, Skip, Step

P = TypeVar("P")


class Notification(Generic[P]):
    """One workflow for one subscriber for one trigger: what a workflow's body is about.

    A workflow may change while people wait in it. The steps that a notification remembers are not done again, also
    where they moved; one it remembers and that is no longer asked for is ignored. A step that is new before those it
    remembers lies in its past: a message is skipped (`added_after_start`), a wait or a throttle is passed, a digest
    answers the notification's own event alone, and everything else is done: a function runs, an event is emitted, a
    workflow triggered, a live fact looked at. What is new after them is done like everything else. A key keeps its kind
    for good: `StepChanged`.

    `version` is what the workflow's author had named it (`@workflow(…, version="2")`) when the notification started,
    "" where it had no name yet: `if n.version != "2":` keeps the old way for those who began before.
    """

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
        version: str = "",
    ) -> None:
        self.id = id
        self.event = event
        self.payload = payload
        self.subscriber = subscriber
        self.started_at = started_at
        self.parameters = parameters
        self.actor = actor
        self.tenant = tenant
        self.version = version

    def in_app(self, step: str, **context: Any) -> Step[Decision]:
        """A message in the person's inbox, from the template `<step>.in_app.j2`."""
        return self._send(Channel.IN_APP, step, context)

    def email(self, step: str, **context: Any) -> Step[Decision]:
        """An e-mail, from the template `<step>.email.j2`."""
        return self._send(Channel.EMAIL, step, context)

    def push(self, step: str, **context: Any) -> Step[Decision]:
        """A push notification, from the template `<step>.push.j2`."""
        return self._send(Channel.PUSH, step, context)

    def sms(self, step: str, **context: Any) -> Step[Decision]:
        """A text message to the person's phone, from the template `<step>.sms.j2`."""
        return self._send(Channel.SMS, step, context)

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

    def invoke(
        self, workflow: str, payload: Any = None, *, to: Any = None, key: str | None = None, timeout: Any = "30d"
    ) -> Step[Any]:
        """Run another workflow for this person (or `to`), and wait for what its body returns, as JSON.

        Where it fails, is cancelled, or does not end within `timeout`, the step fails; of one that was merged into a
        digest the answer is None.
        """
        field = f"invoke({workflow!r})"
        if isinstance(to, list | tuple | set):
            problem = f"{len(cast('Collection[Any]', to))} people, but one answer"
            raise InvalidInput(field=f"{field}.to", problem=problem, remedy="Name one: n.all invokes several")
        wait = timing.length(timeout, f"{field}.timeout")
        return steps.Invoke(key or f"invoke:{workflow}", workflow, to, payload, wait)

    def sleep(self, key: str, *, extend_to_schedule: bool = False, **length: float) -> Step[bool]:
        """Wait for `months= weeks= days= hours= minutes= seconds=`; survives restarts and holds no worker.

        Months, weeks and days keep the time of day in the person's zone: a day may have 23 or 25 hours, a month that
        is too short ends on its last day. With `extend_to_schedule` the wait goes on until the person's weekly hours
        are open.
        """
        return steps.Sleep(key, length=timing.length(length, f"sleep({key!r})"), extend=extend_to_schedule)

    def sleep_until(
        self,
        key: str,
        instant: datetime | None = None,
        *,
        cron: str | None = None,
        every: str | None = None,
        at: time | str | Sequence[time | str] | None = None,
        past: Sequence[int] | int | None = None,
        weekdays: str | None = None,
        month_days: Sequence[int] | int | None = None,
        ordinal: int | str | None = None,
        timezone: str | None = None,
        extend_to_schedule: bool = False,
    ) -> Step[bool]:
        """Wait until an aware instant; answers False, at once and for good, when it had already passed.

        One over a hundred years ahead is an error of the step, which ends the body.

        Without an instant, until the next time of the calendar, in the words of `digest`: `at="09:00"`.
        """
        calendar = {"at": at, "weekdays": weekdays, "month_days": month_days, "ordinal": ordinal, "minutes": past}
        field = f"sleep_until({key!r})"
        if instant is not None:
            asked = {**calendar, "cron": cron, "every": every, "timezone": timezone}
            digests.only(field, "an instant", [part for part, value in asked.items() if value is not None])
            return steps.Sleep(key, digests.aware(instant, field), extend=extend_to_schedule)
        slots, zone = digests.slots(field, calendar, timezone, every=every, cron=cron)
        return steps.Sleep(key, slots=slots, zone=zone, extend=extend_to_schedule)

    def delay(self, key: str, asked: Any, *, extend_to_schedule: bool = False) -> Step[bool]:
        """Wait as the event asks: an ISO 8601 instant or Unix ms that is still ahead, or a length.

        A length is a text such as "3d", or `{"amount": 3, "unit": "days"}`. Anything else, or what is past
        or over a hundred years ahead, is an error of the step, which ends the body.
        """
        return steps.Delay(key, asked=asked, extend=extend_to_schedule)

    def wait_for_event(
        self, key: str, name: str, *, match: str | None = None, timeout: Any = None, **length: float
    ) -> Step[Event | None]:
        """Wait for an event of this name; answers it, or None when `timeout` ("7d") or `days=7` are over.

        `match` is a path at which both events have an equal value ("userId"), or an expression over this
        notification's `event` and the other one, `async`: `event.data.userId == async.data.userId`. An event that
        came after this notification's own, before the wait began, counts too; waits one after the other get one each.
        """
        field = f"wait_for_event({key!r})"
        digests.only(field, "timeout", length if timeout is not None else ())
        if match is not None:
            expression(match, f"{field}.match")
        wait = timing.length(length if timeout is None else timeout, f"{field}.timeout")
        return steps.WaitForEvent(key, name, match, wait)

    def digest(
        self,
        name: str,
        *,
        key: Any = ABSENT,
        debounce: Any = None,
        max_wait: Any = None,
        lookback: Any = None,
        capacity: int | None = None,
        cron: str | None = None,
        every: str | None = None,
        at: time | str | Sequence[time | str] | None = None,
        past: Sequence[int] | int | None = None,
        weekdays: str | None = None,
        month_days: Sequence[int] | int | None = None,
        ordinal: int | str | None = None,
        timezone: str | None = None,
        unless: Callable[..., Any] | None = None,
        extend_to_schedule: bool = False,
        **length: float,
    ) -> Step[Burst]:
        """Collect what else comes for this person (and `key`): one notification carries on with all, the rest merge.

        - `minutes=15`: a fixed window, from the first event's own time.
        - `debounce="15m", max_wait="2h"`: until nothing came for so long, at most so long after the first.
        - `minutes=15, lookback="20m"`: an event that had none before it for so long passes at once, alone.
        - `at="09:00", weekdays="mon-fri"`, `every="month", month_days=-1`, `every="hour", past=30`: at that time in the
          person's zone, or in `timezone`; a cron deployment closes it. `cron="0 9 * * 1-5"` is read in UTC, in
          `timezone`, or with `timezone="subscriber"` in the person's zone.

        `capacity` events close a window of a length early. Lengths are texts such as "15m" or mappings of units.
        `unless` is asked of each event (marked `bulk`: of all of them at once) when the window has closed; those it
        gives a reason for are withdrawn. Where nothing is left the body ends there, as `digest_empty`.
        """
        calendar = {"at": at, "weekdays": weekdays, "month_days": month_days, "ordinal": ordinal, "minutes": past}
        modes = {"debounce": debounce, "max_wait": max_wait, "lookback": lookback, "cron": cron, "every": every}
        made = digests.digest(name, key_text(key), modes, calendar, length, unless, capacity, timezone)
        return replace(made, extend=True) if extend_to_schedule else made

    def throttle(
        self, name: str, *, threshold: int = 1, key: Any = ABSENT, until: Any = ABSENT, **length: float
    ) -> Step[None]:
        """Let at most `threshold` notifications of this workflow pass for this person (and `key`) within a window.

        The window begins with the first that passes and lasts `minutes=10`; nothing renews it, and days and months go
        by the person's calendar. `until` takes its end from the payload: an instant, or a length such as "30m". Who
        comes over the cap ends here with reason `throttled`, in a critical workflow too; await it before what it is to
        hold back.
        """
        field = f"throttle({name!r})"
        most = digests.counted(threshold, f"{field}.threshold", "notifications")
        if (until is ABSENT) is not bool(length):
            problem = "has two windows" if length else "has no window"
            raise InvalidInput(field=field, problem=problem, remedy="Give it a length such as minutes=10, or until=")
        lasts = timing.length(length, field) if length else None
        return steps.Throttle(name, most, key_text(key), lasts, until)

    def is_read(self, step: str, *, at: str) -> Step[bool]:
        """Whether the in-app message of `step` has been read by now, remembered under the key `at`."""
        return steps.Look(at, Fact.READ, step)

    def is_seen(self, step: str, *, at: str) -> Step[bool]:
        """Whether the in-app message of `step` has been displayed by now, remembered under the key `at`."""
        return steps.Look(at, Fact.SEEN, step)

    def is_online(self, *, at: str) -> Step[bool]:
        """Whether the person is connected now, as the application last said, remembered under the key `at`."""
        return steps.Look(at, Fact.ONLINE)

    def all(self, *requests: Step[Any]) -> steps.All[Any]:
        """Several steps in one round; answers their results in order. A digest waits alone."""
        given = cast("Sequence[Any]", requests)
        for other in [type(one).__name__ for one in given if not isinstance(one, Step)][:1]:
            remedy = "Write n.all(*steps)" if other == "list" else "Leave out `await` before its parts"
            raise InvalidInput(field="n.all", problem=f"a {other} is no step", remedy=f"{remedy}, as in n.all(a, b)")
        waits = [step for step in requests if isinstance(step, steps.WAITS)]
        collecting = [step for step in waits if isinstance(step, steps.Digest)]
        if collecting and (len(waits) > 1 or collecting[0].extend):
            raise InvalidInput(
                field=f"n.all({', '.join(step.key for step in waits)})",
                problem="a digest beside another wait",
                remedy="Await the digest by itself: whoever is merged into one ends there",
            )
        return steps.All(requests)

    def skip(self, reason: str) -> Skip:
        """`return n.skip("too_late")` ends the body and keeps the reason with the notification."""
        return Skip(reason)
