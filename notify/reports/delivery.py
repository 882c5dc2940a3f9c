"""The delivery report: what became of the messages of a day, a row a channel."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from notify import clock
from notify.store import report_counts
from notify.store.database import Database

DAY = timedelta(hours=24)
#: The row that stands for every channel together.
ALL = "all"
COLUMNS = (
    "channel",
    "total",
    "delivered",
    "sent",
    "failed",
    "skipped",
    "queued",
    "unknown",
    "delivery_rate",
    "accepted_rate",
    "failures",
    "avg_delivery_seconds",
)
EXPLANATION = (
    "delivery_rate is delivered·100/all, so a channel whose provider reports no receipts shows 0; "
    "accepted_rate is (sent+delivered)·100/attempted, without what was skipped or still waits."
)
_COUNTED = [*report_counts.GROUPS, "total", "failures", "attempted", "timed"]


def delivery(
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    database: Database,
    environment: str,
    workflow: str | None = None,
) -> pd.DataFrame:
    """Messages created in [since, until), the last 24 hours unless told: a row a channel, then the row `all`.

    - `total` = `delivered` + `sent` + `failed` + `skipped` + `queued` + `unknown`. `failed` counts failed, bounced,
      timeout and rate_limited; `skipped` also suppressed and cancelled; `queued` also held.
    - `delivery_rate` = delivered · 100 / all, percent: the formula of the source document, taken literally.
    - `accepted_rate` = (sent + delivered) · 100 / attempted, percent; attempted leaves out skipped and queued.
      NaN where nothing was attempted.
    - `failures` counts the status `failed` alone, as the source document does.
    - `avg_delivery_seconds` is the mean of (delivered_at - created_at) where there is a delivered_at, otherwise NaN.

    The database does the counting; the frame has as many rows as there are channels.
    """
    since = since or (until or clock.now()) - DAY
    with database.read() as connection:
        rows = report_counts.delivery(connection, environment, since=since, until=until, workflow=workflow)
    return frame(rows)


def frame(rows: Sequence[Any]) -> pd.DataFrame:
    """The report from counts a workflow and channel; see `delivery`."""
    counted = pd.DataFrame([_counts(row) for row in rows], columns=["channel", "seconds", *_COUNTED])
    by_channel = counted.groupby("channel", sort=True).sum()
    everything = by_channel.sum().to_frame(ALL).T
    report = pd.concat([by_channel, everything]) if len(by_channel) else everything
    report = report.astype(dict.fromkeys(_COUNTED, "int64") | {"seconds": "float64"})
    report["delivery_rate"] = report["delivered"] * 100 / report["total"]
    report["accepted_rate"] = (report["sent"] + report["delivered"]) * 100 / report["attempted"]
    report["avg_delivery_seconds"] = report["seconds"] / report["timed"]
    return report.rename_axis("channel").reset_index()[list(COLUMNS)]


def _counts(row: Any) -> dict[str, Any]:
    seconds = float(row.avg_delivery_seconds or 0) * row.timed
    return {"channel": row.channel, "seconds": seconds} | {name: getattr(row, name) for name in _COUNTED}


def as_json(report: pd.DataFrame) -> list[dict[str, Any]]:
    """The report as objects ready for JSON: NaN is null, figures are rounded to the microsecond."""
    return [{str(name): _plain(value) for name, value in row.items()} for row in report.to_dict("records")]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return None if pd.isna(value) else round(value, 6)
    return value
