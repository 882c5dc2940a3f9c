"""Saying what happened, asking for workflows, taking back, and telling who people are."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from notify import clock, intake
from notify.client import Notify
from notify.commands import streaming, week
from notify.commands.errors import explained
from notify.errors import InvalidInput
from notify.model import Event, Preference, Receipt
from notify.outcomes import Outcomes
from notify.store import people
from notify.timing import spoken

app = typer.Typer()
subscribers = typer.Typer(no_args_is_help=True, help="The people who are told.")
preferences = typer.Typer(no_args_is_help=True, help="What people chose to be told, and where.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait and print what happened per person and channel.")]
Timeout = Annotated[float, typer.Option(help="Seconds --wait waits at most.")]


def _object(text: str, field: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(field=field, problem=f"not JSON: {error}", remedy='Quote it: \'{"key": "value"}\'') from None


@app.command()
@explained
def emit(
    name: Annotated[str | None, typer.Argument(help="The event's name, such as task/assigned.")] = None,
    data: Annotated[str, typer.Argument(help="Its data as a JSON object.")] = "{}",
    file: Annotated[str | None, typer.Option(help="NDJSON of events, a line each; - is standard input.")] = None,
    id: Annotated[str | None, typer.Option(help="Your id: seen again within 24 h it starts nothing.")] = None,
    ts: Annotated[int | None, typer.Option(help="When it happened, in Unix milliseconds.")] = None,
    wait: Wait = False,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Say that something happened."""
    with Notify.from_env() as notify:
        if file is not None:
            _emit_file(notify, file, as_json)
            return
        if name is None:
            raise InvalidInput(field="NAME", problem="is missing", remedy="Name the event, or give --file")
        receipt = notify.emit(name, _object(data, "DATA"), id=id, ts=ts)
        _acknowledge(notify, receipt, wait, timeout, as_json)


def _emit_file(notify: Notify, file: str, as_json: bool) -> None:
    def parse(raw: Any) -> Event:
        return intake.parse_event(raw, notify.registry.events, clock.now())

    def keep(page: Sequence[Event], tally: streaming.Tally) -> None:
        for receipt in notify.accept(page):
            tally.add(str(receipt.verdict))

    tally = streaming.stream(file, parse, keep)
    streaming.report(tally, as_json=as_json, names=("accepted", "duplicate"))
    if tally.rejected:
        raise typer.Exit(1)


@app.command()
@explained
def trigger(
    workflow: Annotated[str, typer.Argument(help="The workflow's id.")],
    to: Annotated[list[str], typer.Option(help="A subscriber id; give it several times for several people.")],
    payload: Annotated[str, typer.Option(help="The payload as a JSON object.")] = "{}",
    transaction_id: Annotated[str | None, typer.Option(help="Used again, it decides nothing.")] = None,
    wait: Wait = False,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Run one workflow for named people."""
    with Notify.from_env() as notify:
        receipt = notify.trigger(workflow, to=to, payload=_object(payload, "--payload"), transaction_id=transaction_id)
        _acknowledge(notify, receipt, wait, timeout, as_json)


def _acknowledge(notify: Notify, receipt: Receipt, wait: bool, timeout: float, as_json: bool) -> None:
    if not wait:
        answer: dict[str, Any] = {
            "acknowledged": True,
            "status": "processed",
            "verdict": receipt.verdict,
            "transactionId": receipt.transaction_id,
            "error": [],
        }
        print(orjson.dumps(answer).decode() if as_json else f"{receipt.verdict} · {receipt.transaction_id}")
        return
    found = _wait(notify, receipt.uid, timeout)
    if as_json:
        print(orjson.dumps({"settled": found.settled, "outcomes": found.as_json()}).decode())
    else:
        _print_outcomes(found, receipt, timeout)
    if not found.settled:
        raise typer.Exit(1)


def _wait(notify: Notify, uid: str, timeout: float) -> Outcomes:
    deadline = time.monotonic() + timeout
    found = notify.outcomes(uid)
    while not found.settled and time.monotonic() < deadline:
        threading.Event().wait(0.1)
        found = notify.outcomes(uid)
    return found


def _print_outcomes(found: Outcomes, receipt: Receipt, timeout: float) -> None:
    table = Table(title=f"{receipt.name} · {receipt.uid}", title_justify="left")
    for heading in ("workflow", "person", "channel", "outcome", "reason"):
        table.add_column(heading)
    for line in found.lines:
        until = f"until {line.wake_at:%-d %b %H:%M} UTC" if line.wake_at else ""
        table.add_row(line.workflow, line.subscriber or "", line.channel or "", line.status, line.reason or until)
    console = Console()
    console.print(table)
    if not found.settled:
        console.print(f"Stored, but not worked on within {timeout:.0f} s. Is `notify work` or `notify dev` running?")


@app.command()
@explained
def cancel(
    transaction_id: Annotated[str, typer.Argument(help="Of a trigger, or the id an event got.")],
    reason: Annotated[str, typer.Option(help="Kept with each notification.")] = "cancelled",
    as_json: AsJson = False,
) -> None:
    """Cancel what one trigger or event started and has not ended."""
    with Notify.from_env() as notify:
        count = notify.cancel(transaction_id, reason)
    print(orjson.dumps({"cancelled": int(count), **vars(count)}).decode() if as_json else str(count))


@subscribers.command("import")
@explained
def import_people(
    file: Annotated[str, typer.Argument(help="NDJSON of people, a line each; - is standard input.")],
    as_json: AsJson = False,
) -> None:
    """Create or update people; a field that is left out keeps its value."""
    with Notify.from_env() as notify:
        environment = notify.settings.environment

        def keep(page: Sequence[tuple[dict[str, Any], list[Preference]]], tally: streaming.Tally) -> None:
            now = clock.now()
            with notify.database.write() as connection:
                people.save(connection, environment, [row for row, _ in page], now)
                people.choose(connection, environment, [one for _, some in page for one in some], now)
            tally.add("imported", len(page))

        tally = streaming.stream(file, intake.parse_subscriber, keep)
    streaming.report(tally, as_json=as_json, names=("imported",))
    if tally.rejected:
        raise typer.Exit(1)


@subscribers.command("show")
@explained
def show_person(subscriber: Annotated[str, typer.Argument(help="The person's id.")], as_json: AsJson = False) -> None:
    """One person: where and when they are reached, and whether they are connected."""
    with Notify.from_env() as notify:
        person = notify.subscribers.get(subscriber)
    if as_json:
        print(orjson.dumps(person).decode())
        return
    print(f"{person.id} · {person.name} · {person.email or 'no e-mail'} · {person.timezone or 'UTC'}")
    print(f"reached {week.shown(person.schedule)}")
    if person.online_at is not None:
        print(f"{'online' if person.online else 'offline'} since {spoken(person.online_at, clock.now())}")


@subscribers.command("schedule")
@explained
def set_schedule(
    subscriber: Annotated[str, typer.Argument(help="The person's id.")],
    hours: Annotated[
        list[str] | None,
        typer.Argument(help='Days and hours in the person\'s zone: "mon-fri 09:00-17:00" "sat 10:00-12:00".'),
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Reach the person at any time.")] = False,
) -> None:
    """The hours in which a person may be reached; in-app messages come at any time."""
    if bool(hours) is off:
        problem = "goes without --off" if hours else "is missing"
        raise InvalidInput(field="HOURS", problem=problem, remedy='Write "mon-fri 09:00-17:00", or --off alone')
    with Notify.from_env() as notify:
        kept = notify.subscribers.schedule(subscriber, week.typed(hours, "HOURS") if hours else None)
    print(f"{subscriber}: reached {week.shown(kept)}")


@preferences.command("set")
@explained
def set_preference(
    subscriber: Annotated[str, typer.Argument(help="The person's id.")],
    workflow: Annotated[str, typer.Argument(help="A workflow's id, or `all`.")],
    channel: Annotated[str, typer.Argument(help="in_app, email, sms, push, chat or webhook.")],
    choice: Annotated[str, typer.Argument(help="on or off")],
) -> None:
    """Switch one channel on or off for a person, in one workflow or in all."""
    if choice not in ("on", "off"):
        raise InvalidInput(field="CHOICE", problem=f"{choice!r} is neither on nor off", remedy="Write on or off")
    with Notify.from_env() as notify:
        notify.subscribers.get(subscriber)
        known = None if workflow == "all" else notify.registry.workflow(workflow).id
        notify.preferences.set(subscriber, known, channel, choice == "on")
    print(f"{subscriber}: {channel} is {choice} for {workflow}")


@preferences.command("show")
@explained
def show_preferences(
    subscriber: Annotated[str, typer.Argument(help="The person's id.")], as_json: AsJson = False
) -> None:
    """What a person chose; whatever is not listed is on."""
    with Notify.from_env() as notify:
        chosen = notify.preferences.of(subscriber)
    if as_json:
        print(orjson.dumps(chosen).decode())
        return
    for one in chosen:
        print(f"{one.workflow or 'all':24} {one.channel:8} {'on' if one.enabled else 'off'}")
    if not chosen:
        print(f"{subscriber} chose nothing: every channel is on")
