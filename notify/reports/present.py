"""What reading back looks like: rich renderables that fit 100 columns, and the same as objects ready for JSON.

Terminals show the local time of the machine; JSON has UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from notify.reports.story import Day
from notify.reports.why import Why
from notify.store import log
from notify.store.audit import Audit, Finding
from notify.store.types import iso

if TYPE_CHECKING:  # only its report brings pandas in
    import pandas as pd

#: Columns of a terminal that everything fits into.
WIDTH = 100
#: Characters of an id that are shown, and that are enough to find it again.
SHORT_ID = 8
_COLOURS = {
    "delivered": "green",
    "sent": "green",
    "queued": "cyan",
    "held": "cyan",
    "skipped": "dim",
    "suppressed": "dim",
    "cancelled": "dim",
    "unknown": "yellow",
}


def short(instant: datetime | None) -> str:
    """Local time to the second, `2026-03-29 09:30:00`; '' for None."""
    return "" if instant is None else f"{instant.astimezone():%Y-%m-%d %H:%M:%S}"


def plain(value: Any) -> Any:
    """A value ready for JSON: instants become `2026-03-29T01:30:00.000000Z`."""
    return iso(value) if isinstance(value, datetime) else value


def _objects(rows: Iterable[Any], names: Sequence[str]) -> list[dict[str, Any]]:
    return [{name: plain(getattr(row, name)) for name in names} for row in rows]


def _table(*columns: str, right: Sequence[str] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", width=None)
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="ellipsis")
    return table


# --- the log ------------------------------------------------------------------------------------

_FIXED_WIDTHS = {"id": SHORT_ID, "when": 19, "channel": 7, "status": 12}


def log_table(rows: Sequence[Any]) -> Table:
    """Rows of `store.log.rows`, one a line: a title that is cut ends in `…`, an id never is cut further."""
    table = _table("id", "when", "channel", "status", "workflow", "person", "why")
    for column in table.columns:
        column.no_wrap = True
        column.min_width = _FIXED_WIDTHS.get(str(column.header))
    for row in rows:
        table.add_row(*_log_cells(row))
    return table


def _log_cells(row: Any) -> list[Text]:
    status = Text(row.status, _COLOURS.get(row.status, "red"))
    why = row.reason or row.error or ""
    if row.status == "held":
        why = f"{why} until {short(row.next_attempt_at)}"
    cells = [row.id[:SHORT_ID], short(row.created_at), row.channel, status, row.workflow, row.subscriber, why]
    return [cell if isinstance(cell, Text) else Text(cell) for cell in cells]


def log_line(row: Any) -> Text:
    """One row as a line of a log that is followed."""
    return Text("  ").join(cell for cell in _log_cells(row) if cell.plain)


def log_json(rows: Sequence[Any]) -> list[dict[str, Any]]:
    """The same as objects of `store.log.FIELDS`."""
    return _objects(rows, log.FIELDS)


# --- why ----------------------------------------------------------------------------------------


def why_text(why: Why) -> RenderableType:
    """The chain, a link a line: when, what, because."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, min_width=19, style="dim")
    table.add_column(max_width=32)
    table.add_column()
    for link in why.chain:
        table.add_row(short(link.when), Text(link.what), Text(link.because))
    return Group(Text(why.subject, "bold"), table)


def why_json(why: Why) -> dict[str, Any]:
    """`{"subject": …, "chain": [{"when", "what", "because"}, …]}`."""
    return {"subject": why.subject, "chain": _objects(why.chain, ("when", "what", "because"))}


# --- delivery -----------------------------------------------------------------------------------


def delivery_table(report: pd.DataFrame, explanation: str) -> RenderableType:
    """The frame of `reports.delivery`, with the line that explains its two rates."""
    headings = {"delivery_rate": "delivery %", "accepted_rate": "accepted %", "avg_delivery_seconds": "seconds"}
    names = [str(name) for name in report.columns if name != "failures"]
    table = _table(
        *(headings.get(name, name) for name in names), right=[headings.get(name, name) for name in names[1:]]
    )
    for row in report.to_dict("records"):
        style = "bold" if row["channel"] == "all" else ""
        table.add_row(*(_figure(row[name]) for name in names), style=style)
    return Group(table, Text(explanation, "dim"))


def _figure(value: Any) -> str:
    if isinstance(value, float):
        return "–" if value != value else f"{value:.1f}"  # NaN is what differs from itself
    return f"{value:,}" if isinstance(value, int) else str(value)


# --- the audit ----------------------------------------------------------------------------------


def audit_table(audit: Audit) -> Table:
    """What was looked at and what was found, a kind a line."""
    table = _table("looked at / found", "count", right=["count"])
    broken = {finding.kind for finding in audit.violations}
    for kind, count in audit.counts.items():
        table.add_row(Text(kind.replace("_", " "), "red" if kind in broken else ""), f"{count:,}")
    return table


def audit_lines(audit: Audit) -> list[str]:
    """A line a violation with what to do about it, a line for what is listed, and a last line that sums up."""
    lines = [f"✗ {finding.kind}: {_told(finding)}" for finding in audit.violations]
    lines += [f"– {finding.kind}: {_told(finding)}" for finding in audit.listings]
    lines += [f"… and {more:,} more of {kind}" for kind, more in _unlisted(audit).items()]
    if audit.counts.get("not_judged"):
        lines.append(
            f"{audit.counts['not_judged']:,} pairs of event and workflow were not judged: "
            "the event is older than the workflow's first row."
        )
    return [*lines, _summary(audit)]


def _told(finding: Finding) -> str:
    return f"{finding.sentence}. {finding.remedy}"


def _unlisted(audit: Audit) -> Mapping[str, int]:
    """How many findings of each kind there are beyond those returned."""
    shown: dict[str, int] = {}
    for finding in (*audit.violations, *audit.listings):
        shown[finding.kind] = shown.get(finding.kind, 0) + 1
    return {kind: audit.counts[kind] - count for kind, count in shown.items() if audit.counts[kind] > count}


def _summary(audit: Audit) -> str:
    looked = f"{audit.counts.get('events', 0):,} events, {audit.counts.get('messages', 0):,} messages"
    if audit.clean:
        return f"{looked}: nothing lost, nothing decided twice."
    broken = sum(audit.counts[kind] for kind in {finding.kind for finding in audit.violations})
    return f"{looked}: {broken:,} violations."


def audit_json(audit: Audit) -> dict[str, Any]:
    """`{"clean", "violations": [{"kind", "ids", "sentence", "remedy"}], "listings": […], "counts": {…}}`."""
    return {
        "clean": audit.clean,
        "violations": [_finding(finding) for finding in audit.violations],
        "listings": [_finding(finding) for finding in audit.listings],
        "counts": dict(audit.counts),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    ids = {name: plain(value) for name, value in finding.ids.items()}
    return {"kind": finding.kind, "ids": ids, "sentence": finding.sentence, "remedy": finding.remedy}


# --- a person's day -----------------------------------------------------------------------------

_MARKS = {"told": "●", "untold": "○", "collects": "⊕", "waits": "…", "read": "✓"}


def story_text(day: Day) -> RenderableType:
    """The day, a line each: time in the person's zone, what happened."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for line in day.lines:
        table.add_row(f"{line.at:%H:%M:%S}", _MARKS[line.kind], Text(line.text, "dim" if line.kind == "untold" else ""))
    nothing = Text("nothing happened", "dim")
    return Group(Text(f"{day.person}, {day.day} ({day.zone})", "bold"), table if day.lines else nothing)


def story_json(day: Day) -> dict[str, Any]:
    """`{"person", "day", "zone", "lines": [{"at", "kind", "text", "reason"}]}`; `at` keeps the person's offset."""
    lines = [
        {"at": line.at.isoformat(), "kind": line.kind, "text": line.text, "reason": line.reason} for line in day.lines
    ]
    return {"person": day.person, "day": day.day.isoformat(), "zone": day.zone, "lines": lines}
