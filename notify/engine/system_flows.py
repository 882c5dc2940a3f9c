"""The system's own flows: ten lines each, over rows, safe to run at any time and any number of times."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from prefect import Flow, State, flow, get_client
from prefect.artifacts import acreate_table_artifact
from prefect.states import Completed

from notify.engine import delivery, runtime
from notify.engine.reconcile import reconcile
from notify.engine.sweep import sweep_rows
from notify.reports.delivery import EXPLANATION
from notify.reports.delivery import delivery as delivery_report

#: The delivery report's artifact, the same key each time: Prefect keeps its history.
REPORT_KEY = "delivery-report"


@flow(name="sweep", persist_result=False)
async def sweep() -> State:
    """Put back what lost its worker or its alarm, on our side and on Prefect's."""
    engine = await runtime.engine()
    swept = await sweep_rows(engine)
    async with get_client() as client:
        await reconcile(engine, client)
    return Completed(message=str(swept))


@flow(name="deliver", persist_result=False)
async def deliver() -> State:
    """Try again what is due."""
    count = await delivery.deliver_due(await runtime.engine())
    return Completed(message=f"{count} messages were due")


@flow(name="report", persist_result=False)
async def report() -> State:
    """The delivery report of the last 24 hours as a table."""
    engine = await runtime.engine()
    frame = await asyncio.to_thread(delivery_report, database=engine.database, environment=engine.environment)
    rows = cast("list[dict[str, Any]]", frame.astype(object).where(frame.notna(), None).to_dict("records"))
    await acreate_table_artifact(table=rows, key=REPORT_KEY, description=EXPLANATION)
    return Completed(message=f"{len(rows)} rows in the artifact {REPORT_KEY}")


def named(name: str) -> Flow[..., Any] | None:
    """The system flow of this name."""
    return {"sweep": sweep, "deliver": deliver, "report": report}.get(name)
