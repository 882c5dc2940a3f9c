"""What pytest gets from notify: the fixture `rehearsal`, and why something was not sent under a test that fails.

Pytest loads this in every session, so the kit itself is loaded by the first test that rehearses.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from notify.testing import mode

if TYPE_CHECKING:
    from notify.testing.kit import Rehearsal

_OPEN = pytest.StashKey[list["Rehearsal"]]()


class Rehearse(Protocol):
    """What the fixture `rehearsal` is."""

    def __call__(
        self, at: str, *, flows: Path | str | None = None, settings: Mapping[str, str] | None = None
    ) -> Rehearsal:
        """Open a rehearsal that ends with the test. `flows` None is what pytest's `notify_flows` says.

        `settings` are limits, as in `{"NOTIFY_BUDGET": "email: 2/day"}`.
        """
        ...


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--notify-prefect`, and `notify_flows` in pytest's configuration."""
    parser.addini("notify_flows", "folder of the workflows that the fixture `rehearsal` reads", default="flows")
    parser.getgroup("notify").addoption(
        "--notify-prefect",
        action="store_true",
        help="let flow runs of a real Prefect server, started for this session, do the work of every rehearsal",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Before anything that reads it is loaded."""
    mode.through_prefect = mode.through_prefect or config.getoption("--notify-prefect")


@pytest.fixture
def rehearsal(request: pytest.FixtureRequest) -> Generator[Rehearse]:
    """`rehearsal("2026-03-28 22:00 Europe/Rome")` opens a rehearsal that ends with the test."""
    folder = _flows(request.config)
    begun = request.node.stash.setdefault(_OPEN, [])
    with ExitStack() as stack:

        def begin(at: str, *, flows: Path | str | None = None, settings: Mapping[str, str] | None = None) -> Rehearsal:
            open_ = import_module("notify.testing.opening").rehearsal
            opened: Any = open_(at, flows=flows or folder, settings=settings)
            begun.append(stack.enter_context(opened))
            return begun[-1]

        yield begin


def _flows(config: pytest.Config) -> Path:
    """Beside the configuration that names it, or where pytest was called."""
    beside = config.inipath.parent if config.inipath else config.invocation_params.dir
    return beside / config.getini("notify_flows")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """A test's failure does not pass through its fixtures, so what a `with` block would note is noted here."""
    try:
        return (yield)
    except (Exception, pytest.fail.Exception) as error:
        for one in item.stash.get(_OPEN, ()):
            one.note(error)
        raise
