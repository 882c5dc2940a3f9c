"""The README is run: its commands and its Python, in order, in an empty folder."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.house.source import ROOT

#: Seconds for everything together.
DEADLINE = 600
RUN, SHOWN = {"console", "bash", "python"}, {"text"}
#: Preparing a machine is what .ci/run does; here such commands are compared with it instead of run again.
PREPARES = re.compile(r"(git clone|cd|python3\S* -m venv|\.|source|pip install|python3? -m pip install|pytest)(\s|$)")
COMPARED = re.compile(r"(pip install|python3? -m pip install|pytest)(\s|$)")


@dataclass(frozen=True)
class Block:
    """What stands between two fences."""

    line: int
    language: str
    body: str

    @property
    def commands(self) -> Sequence[str]:
        """The commands a person would type."""
        if self.language == "python":
            return []
        lines = self.body.splitlines()
        if self.language == "console":
            lines = [line[2:] for line in lines if line.startswith(("$ ", "> "))]
        return [line.strip() for line in lines if line.strip() and not line.startswith("#")]

    @property
    def prepares(self) -> bool:
        return any(COMPARED.match(command) or command.startswith("git clone") for command in self.commands)

    @property
    def script(self) -> str:
        """The block as a piece of bash."""
        if self.language != "python":
            return "\n".join(self.commands) if self.language == "console" else self.body
        name = re.match(r"# ([\w./-]+\.py)\n", self.body)
        target = name[1] if name else f".readme/line_{self.line}.py"
        write = f"mkdir -p {Path(target).parent}\ncat > {target} <<'END_OF_BLOCK'\n{self.body}END_OF_BLOCK"
        return write if name else f"{write}\npython {target}"


def _blocks() -> Iterator[Block]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for fence in re.finditer(r"^```(\S*)[^\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield Block(text.count("\n", 0, fence.start()) + 1, fence[1], fence[2])


def _script() -> str:
    pieces = [
        f"echo '--- README.md line {block.line}' >&2\n{block.script}"
        for block in _blocks()
        if block.language in RUN and not block.prepares
    ]
    return "\n".join(["set -euo pipefail", *pieces, "echo '--- the end' >&2"])


def _environment(folder: Path) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("NOTIFY_", "PREFECT_", "PYTEST_"))
    }
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
    return kept | {"PATH": path, "HOME": str(folder), "PREFECT_HOME": str(folder / ".prefect")}


def test_every_block_says_whether_it_is_run() -> None:
    languages = {block.line: block.language for block in _blocks()}

    assert languages
    assert {line: language for line, language in languages.items() if language not in RUN | SHOWN} == {}


def test_a_machine_is_prepared_with_the_commands_of_the_gate() -> None:
    stages = [line.strip() for line in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()]
    commands = [command for block in _blocks() if block.prepares for command in block.commands]

    assert [command for command in commands if not PREPARES.match(command)] == []
    compared = {command for command in commands if COMPARED.match(command)}
    assert compared
    assert {command for command in compared if not any(_says(stage, command) for stage in stages)} == set()


def _says(stage: str, command: str) -> bool:
    return stage == command or re.fullmatch(rf"stage \S+ {re.escape(command)}", stage) is not None


@pytest.mark.long
def test_everything_shown_works_in_an_empty_folder(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    script, output = tmp_path / "readme.sh", tmp_path / "output"
    script.write_text(_script(), encoding="utf-8")

    with output.open("wb") as out:
        reader = subprocess.Popen(
            ["bash", str(script)],
            cwd=folder,
            env=_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = reader.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            status = f"not ready after {DEADLINE} s"
        finally:
            _end(reader.pid)

    if status != 0:
        pytest.fail(f"{shlex.quote(str(script))} ended with {status}:\n{output.read_text(errors='replace')[-4000:]}")


def _end(group: int) -> None:
    # What the README left running in the background ends with it.
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
