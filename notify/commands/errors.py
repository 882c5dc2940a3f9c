"""A user's mistake is one line that says what to do, never a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import NoReturn, ParamSpec, TypeVar

import typer

from notify.errors import NotifyError

P = ParamSpec("P")
T = TypeVar("T")


def explained(command: Callable[P, T]) -> Callable[P, T]:
    """The command with deliberate failures printed as one line on stderr, exit code 1."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except NotifyError as error:
            _leave(f"notify: {error}", 1)
        except BaseExceptionGroup as group:
            mistakes, others = group.split(NotifyError)
            if others is not None or mistakes is None:
                raise
            _leave(f"notify: {mistakes.exceptions[0]}", 1)
        except KeyboardInterrupt:
            _leave("", 130)
        except BrokenPipeError:
            # Whoever read our output has seen enough; Python would complain again at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(1) from None

    return run


def _leave(words: str, code: int) -> NoReturn:
    if words:
        typer.echo(words, err=True)
    raise typer.Exit(code)
