"""Reading back: the log, why somebody was told or not, the delivery report, and the audit."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib import import_module
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console

from notify import clock, intake
from notify.client import Notify
from notify.commands.errors import explained
from notify.errors import InvalidInput
from notify.model import MessageStatus
from notify.reports import following, present, reference
from notify.reports import why as reasoning
from notify.store import audit as auditing
from notify.store import log as logbook

app = typer.Typer()

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Since = Annotated[str | None, typer.Option(help="2026-03-29T09:00+02:00, or so long ago: 24h, 7d, 30m.")]
Until = Annotated[str | None, typer.Option(help="Like --since; excluded itself.")]
#: Seconds between two looks at a log that is followed.
LOOK_EVERY = 1.0
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@app.command()
@explained
def log(
    workflow: Annotated[str | None, typer.Option(help="Of this workflow.")] = None,
    channel: Annotated[str | None, typer.Option(help="in_app, email, sms, push, chat or webhook.")] = None,
    person: Annotated[str | None, typer.Option(help="To this subscriber id.")] = None,
    transaction: Annotated[str | None, typer.Option(help="Of this transaction id.")] = None,
    status: Annotated[str | None, typer.Option(help="delivered, sent, skipped, failed, queued, …")] = None,
    reason: Annotated[str | None, typer.Option(help="With this reason, such as opted_out.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="How many, the newest.")] = 50,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Print what comes from now on, or since --since.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """What was decided for whom on which channel, the newest first."""
    filters = logbook.Filters(
        workflow=workflow,
        channel=intake.channel(channel, "--channel") if channel else None,
        subscriber=person,
        transaction_id=transaction,
        status=_status(status),
        reason=reason,
        since=instant(since, "--since"),
        until=instant(until, "--until"),
    )
    with Notify.from_env() as notify:
        if follow:
            _print_each(_followed(notify, filters), as_json)
            return
        with notify.database.read() as connection:
            rows = logbook.rows(connection, notify.settings.environment, limit=limit, **filters)
    _show(present.log_json(rows) if as_json else present.log_table(rows))


def _status(text: str | None) -> str | None:
    known = [status.value for status in MessageStatus]
    if text is not None and text not in known:
        remedy = f"Use one of {', '.join(known)}"
        raise InvalidInput(field="--status", problem=f"{text!r} is no status", remedy=remedy)
    return text


def _followed(notify: Notify, filters: logbook.Filters) -> Iterator[Any]:
    start = filters.get("since") or clock.now()
    pause = threading.Event()
    return following.follow(
        notify.database,
        notify.settings.environment,
        start=start,
        wait=lambda: not pause.wait(LOOK_EVERY),
        **filters,
    )


def _print_each(rows: Iterator[Any], as_json: bool) -> None:
    console = _console()
    for row in rows:
        if as_json:
            print(orjson.dumps(present.log_json([row])[0]).decode(), flush=True)
        else:
            console.print(present.log_line(row), soft_wrap=True)


@app.command()
@explained
def why(
    id: Annotated[
        str, typer.Argument(help="A message or notification, or the beginning of its id; an event with --person.")
    ],
    person: Annotated[str | None, typer.Option(help="Why the event ID reached this person, or did not.")] = None,
    as_json: AsJson = False,
) -> None:
    """The chain of reasons, from the event to what the person did with the message."""
    with Notify.from_env() as notify:
        where: dict[str, Any] = {"database": notify.database, "environment": notify.settings.environment}
        answer = reasoning.why(id, **where) if person is None else reasoning.why_not(id, person, **where)
    _show(present.why_json(answer) if as_json else present.why_text(answer))


@app.command()
@explained
def report(since: Since = None, until: Until = None, as_json: AsJson = False) -> None:
    """Delivery per channel, of the last 24 hours unless told; with --json also what the workflows came to so far."""
    # Loaded here and not before: pandas takes longer to load than any other command takes to run.
    delivering = import_module("notify.reports.delivery")
    with Notify.from_env() as notify:
        database, environment = notify.database, notify.settings.environment
        starts, ends = instant(since, "--since"), instant(until, "--until")
        frame = delivering.delivery(starts, ends, database=database, environment=environment)
        counts = reference.counts(database, environment) if as_json else {}
    if as_json:
        _show({"delivery": delivering.as_json(frame), "counts": counts})
    else:
        _show(present.delivery_table(frame, delivering.EXPLANATION))


@app.command()
@explained
def audit(as_json: AsJson = False) -> None:
    """Prove that nothing was lost and nothing decided twice; exit code 1 when something was."""
    with Notify.from_env() as notify:
        listeners = notify.registry.listeners()
        with notify.database.read() as connection:
            found = auditing.audit(connection, notify.settings.environment, listeners, now=clock.now())
    if as_json:
        _show(present.audit_json(found))
    else:
        _show(present.audit_table(found))
        print("\n".join(present.audit_lines(found)))
    if not found.clean:
        raise typer.Exit(1)


def instant(text: str | None, option: str) -> datetime | None:
    """`--since` and `--until`: an ISO instant with a zone, or a length of time before now. InvalidInput otherwise."""
    if text is None:
        return None
    try:
        ago = re.fullmatch(r"(\d+)([smhdw])", text)
        given = clock.now() - timedelta(**{_UNITS[ago[2]]: int(ago[1])}) if ago else datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        remedy = "Write 2026-03-29T09:00+02:00, or 24h, 7d, 30m"
        raise InvalidInput(field=option, problem=f"{text!r} is no instant", remedy=remedy) from None
    if given.tzinfo is None:
        remedy = f"Add one: {given.isoformat(timespec='minutes')}Z is UTC"
        raise InvalidInput(field=option, problem=f"{text!r} has no zone", remedy=remedy)
    return given


def _show(what: Any) -> None:
    """Objects as JSON, anything else as rich draws it."""
    if isinstance(what, dict | list):
        print(orjson.dumps(what).decode())
    else:
        _console().print(what)


def _console() -> Console:
    """A terminal is as wide as it is; what goes elsewhere is as wide as our tables need."""
    return Console(width=None if sys.stdout.isatty() else present.WIDTH)
