"""The embedded server's application: Prefect's own, with writes to SQLite that wait for each other.

Prefect begins a writing transaction with a read. SQLite refuses the write when somebody else wrote in between, the
server answers 503, and the client waits two seconds or more. A transaction that takes its lock when it begins waits
its turn instead, for milliseconds.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from prefect.server.api.server import create_app
from prefect.server.database.configurations import AioSqliteConfiguration
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction

__all__ = ["create_app"]

_begin = AioSqliteConfiguration.begin_transaction


@asynccontextmanager
async def _immediately(
    self: AioSqliteConfiguration, session: AsyncSession, with_for_update: bool = False
) -> AsyncGenerator[AsyncSessionTransaction, None]:
    async with _begin(self, session, with_for_update=True) as transaction:
        yield transaction


AioSqliteConfiguration.begin_transaction = _immediately
