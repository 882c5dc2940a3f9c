"""`notify new`: what it writes works as it stands, and writing it twice is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from notify import registry
from notify.cli import app
from notify.settings import Settings

ASKED = ("new", "invoice-paid", "--on", "billing/invoice.paid", "--channels", "email,in_app")
WRITTEN = {
    "flows/invoice_paid.py",
    "flows/templates/invoice-paid/invoice_paid.email.j2",
    "flows/templates/invoice-paid/invoice_paid.in_app.j2",
    "tests/test_invoice_paid.py",
    "prefect.yaml",
}


def _run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A command as typed in this folder, with this Python's programs first."""
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        command, cwd=folder, env=environment | {"PATH": programs}, capture_output=True, text=True, check=False
    )


def _typed(*words: str) -> Result:
    """The same without a process of its own, in the folder one is in."""
    return CliRunner().invoke(app, words)


def _files(folder: Path) -> Mapping[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(folder).as_posix(): path.read_text() for path in found}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder, after the command."""
    made = tmp_path_factory.mktemp("scratch")
    done = _run(made, "notify", *ASKED)
    assert (done.returncode, done.stderr) == (0, "")
    assert {line.removeprefix("wrote ") for line in done.stdout.splitlines() if line.startswith("wrote ")} == WRITTEN
    return made


def test_the_flow_its_templates_its_test_and_its_deployments_are_written(folder: Path) -> None:
    assert set(_files(folder)) == WRITTEN


def test_its_own_test_passes(folder: Path) -> None:
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_invoice_paid.py")

    done = _run(folder, *command)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@pytest.mark.parametrize("told", [True, False], ids=["through NOTIFY_FLOWS", "in the folder one is in"])
def test_the_workflow_is_found(told: bool, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path if told else folder)
    settings = Settings.from_env({"NOTIFY_FLOWS": str(folder / "flows")} if told else {})

    found = registry.load(settings.flows)

    assert (found.broken, list(found.workflows), list(found.events)) == ((), ["invoice-paid"], ["billing/invoice.paid"])
    assert found.workflow("invoice-paid").on == ("billing/invoice.paid",)


def test_the_command_line_lists_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)

    done = _typed("workflows")

    assert "invoice-paid" in done.stdout
    assert "billing/invoice.paid" in done.stdout


def test_its_two_deployments_are_listed(folder: Path) -> None:
    listed = yaml.safe_load((folder / "prefect.yaml").read_text())["deployments"]

    assert [(one["name"], one["entrypoint"], one["work_pool"]) for one in listed] == [
        ("notify", "flows/invoice_paid.py:flow", {"name": "notify"}),
        ("batch", "flows/invoice_paid.py:flow.batch", {"name": "notify"}),
    ]


def test_a_second_time_is_refused_and_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    before = _files(folder)

    done = _typed(*ASKED)

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "notify: ID: flows/invoice_paid.py exists already. Choose another id\n"
    assert _files(folder) == before


def test_a_second_workflow_joins_the_first_ones_deployments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for id_ in ("invoice-paid", "invoice-late"):
        assert _typed("new", id_, "--on", "billing/invoice").exit_code == 0

    listed = yaml.safe_load((tmp_path / "prefect.yaml").read_text())["deployments"]

    assert [one["entrypoint"].rpartition("/")[2] for one in listed] == [
        "invoice_paid.py:flow",
        "invoice_paid.py:flow.batch",
        "invoice_late.py:flow",
        "invoice_late.py:flow.batch",
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("Invoice Paid", "--on", "x"), "ID: 'Invoice Paid' is not lower-case-with-hyphens"),
        (("invoice-paid", "--on", "x", "--channels", "email,fax"), "--channels: no channel is called 'fax'"),
        (("invoice-paid", "--on", "x", "--channels", "chat"), "--channels: chat"),
        (("invoice-paid", "--on", "x", "--channels", ","), "--channels: none"),
    ],
)
def test_what_cannot_be_written_is_refused_in_one_line(
    options: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    done = _typed("new", *options)

    assert (done.exit_code, done.stderr.count("\n")) == (1, 1), done.output
    assert said in done.stderr
    assert _files(tmp_path) == {}
