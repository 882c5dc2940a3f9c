"""`notify` on the command line."""

from __future__ import annotations

import typer

from notify.commands import authoring, outbox, reading, running, writing

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Notifications your team runs itself: the right people, the right channel, once, and why.",
)
for family in (running.app, writing.app, reading.app, authoring.app):
    app.registered_commands += family.registered_commands
app.add_typer(writing.subscribers, name="subscribers")
app.add_typer(writing.preferences, name="preferences")
running.db.registered_commands += outbox.app.registered_commands
app.add_typer(running.db, name="db")


def main() -> None:
    """The console script."""
    app()


if __name__ == "__main__":
    main()
