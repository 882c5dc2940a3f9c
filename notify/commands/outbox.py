"""`notify db outbox`: the outbox in an application's own database."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from sqlalchemy import exc

from notify.commands.errors import explained
from notify.errors import InvalidInput
from notify.settings import Settings, usable_url
from notify.store.application import Application, ddl

app = typer.Typer()


class Dialect(StrEnum):
    """A kind of database."""

    postgresql = "postgresql"
    sqlite = "sqlite"


@app.command("outbox")
@explained
def outbox(
    url: Annotated[str | None, typer.Argument(help="The application's own database, SQLite or PostgreSQL.")] = None,
    show: Annotated[
        bool, typer.Option("--print", help="Print the DDL for your own migrations; touch nothing.")
    ] = False,
    dialect: Annotated[Dialect | None, typer.Option(help="Of --print; unless given, the URL's.")] = None,
) -> None:
    """Make notify_outbox in an application's own database, for emit(connection=…) in its transactions."""
    if dialect is not None and not show:
        raise InvalidInput(field="--dialect", problem="goes with --print", remedy="Add --print, or leave it out")
    known = usable_url(url, "URL") if url else None
    if show:
        kind = dialect or (Dialect.sqlite if known and known.startswith("sqlite") else Dialect.postgresql)
        print(ddl(kind), end="")
    elif known is None:
        raise InvalidInput(field="URL", problem="is missing", remedy="Name the application's database, or use --print")
    elif known == Settings.from_env().database_url:
        print("This is the store itself: emit(connection=…) writes its own outbox, so there is nothing to make.")
    else:
        _install(known)


def _install(url: str) -> None:
    try:
        application = Application(url)
        made = application.install()
    except exc.DBAPIError as error:
        problem = str(error.orig).strip().splitlines()[0]
        raise InvalidInput(
            field="URL",
            problem=f"the database cannot be used: {problem}",
            remedy="Give one that is there, and a user who may create a table in it",
        ) from None
    print(f"notify_outbox {'made' if made else 'is there already'} · {application.name}")
    print(f"Workers copy it where NOTIFY_OUTBOX_URLS names this database: NOTIFY_OUTBOX_URLS={application.name}")
