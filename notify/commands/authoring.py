"""Starting a workflow of your own: `notify new`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from notify import intake
from notify.commands import scaffold
from notify.commands.errors import explained
from notify.errors import InvalidInput

app = typer.Typer()


@app.command()
@explained
def new(
    id: Annotated[str, typer.Argument(help="The workflow's id: lower case, with hyphens.")],
    on: Annotated[str, typer.Option(help="The event that starts it.")],
    channels: Annotated[str, typer.Option(help="Comma-separated: in_app, email, push, sms.")] = "in_app,email",
) -> None:
    """Write a workflow, its templates, a test and its deployments into this folder."""
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", id):
        raise InvalidInput(field="ID", problem=f"{id!r} is not lower-case-with-hyphens", remedy="Write invoice-paid")
    wanted = [intake.channel(name.strip(), "--channels") for name in channels.split(",") if name.strip()]
    for path in scaffold.write(Path.cwd(), id, on, wanted):
        print(f"wrote {path}")
    print(f"Next: notify dev, and in another terminal: notify emit {on} '{scaffold.EXAMPLE}' --wait")


@app.command("workflows")
@explained
def workflows() -> None:
    """The workflows found, and the events that start them."""
    scaffold.list_workflows()
