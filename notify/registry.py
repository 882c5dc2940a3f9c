"""Finding workflows: every file of a folder is read, a broken one is reported and the others go on."""

from __future__ import annotations

import importlib.util
import re
import sys
import traceback
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from notify.catalogue import EventType, collecting
from notify.errors import BrokenWorkflowFile, InvalidWorkflow, UnknownWorkflow
from notify.workflow import Concurrency, Workflow


@dataclass(frozen=True)
class Registry:
    """What one folder defines, and which of its files are broken."""

    folder: Path
    workflows: Mapping[str, Workflow] = field(default_factory=lambda: {})
    events: Mapping[str, EventType] = field(default_factory=lambda: {})
    broken: Sequence[BrokenWorkflowFile] = ()
    #: When the youngest of the files was written (Unix ms): of two releases the later one has the greater.
    stamp: int = 0

    def workflow(self, id: str) -> Workflow:
        """The workflow of this id, or UnknownWorkflow naming those that are known."""
        try:
            return self.workflows[id]
        except KeyError:
            raise UnknownWorkflow(workflow=id, known=", ".join(sorted(self.workflows)) or "none") from None

    def listening(self, event: str) -> list[Workflow]:
        """The workflows that an event of this name starts."""
        return [workflow for workflow in self.workflows.values() if event in workflow.on]

    def limits(self) -> tuple[tuple[str, Concurrency], ...]:
        """The workflows of which only so many notifications may run at once."""
        return tuple((id_, one.concurrency) for id_, one in self.workflows.items() if one.concurrency is not None)

    def listeners(self) -> dict[str, list[str]]:
        """The ids of the workflows each event name starts."""
        names = {name for workflow in self.workflows.values() for name in workflow.on}
        return {name: [workflow.id for workflow in self.listening(name)] for name in sorted(names)}


def load(folder: Path) -> Registry:
    """Read every `*.py` of `folder`; files that begin with `_` hold what several workflows share."""
    found: dict[str, Workflow] = {}
    events: dict[str, EventType] = {}
    broken: list[BrokenWorkflowFile] = []
    with _importable(folder):
        for file in sorted(folder.glob("*.py"), key=lambda path: (not path.name.startswith("_"), path.name)):
            try:
                for one in _read(file):
                    _add(one, file, found, events)
            except BrokenWorkflowFile as error:
                broken.append(error)
    written = max((file.stat().st_mtime_ns // 1_000_000 for file in folder.glob("*.py")), default=0)
    return Registry(folder, found, events, tuple(broken), written)


def _add(one: Any, file: Path, found: dict[str, Workflow], events: dict[str, EventType]) -> None:
    if isinstance(one, EventType):
        events[one.name] = one
    elif one.id in found:
        first = found[one.id].file.name
        raise BrokenWorkflowFile(file=file.name, line=1, problem=f"workflow {one.id!r} is already defined in {first}")
    else:
        found[one.id] = one


def _read(file: Path) -> list[Any]:
    name = file.stem if file.stem.startswith("_") else f"notify_flows.{file.stem}"
    if _is_read(name, file):
        return []
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with collecting() as found:
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[name]
            raise _broken(file, error) from error
    for one in found:
        if isinstance(one, Workflow):
            _refuse_mistakes(one, file)
    return found


def _refuse_mistakes(workflow: Workflow, file: Path) -> None:
    """What is surely wrong in a body, or in a function it hands its notification to, which may be in another file."""
    for mistake in workflow.shape.mistakes[:1]:
        here = Path(mistake.file) == file
        line = mistake.line if here else workflow.body.__code__.co_firstlineno
        elsewhere = "" if here else f"{Path(mistake.file).name}:{mistake.line}: "
        raise BrokenWorkflowFile(file=str(file), line=line, problem=elsewhere + mistake.problem.rstrip(". "))


def _is_read(name: str, file: Path) -> bool:
    """Whether a neighbour imported this shared file already: it is one module, read once."""
    return getattr(sys.modules.get(name), "__file__", None) == str(file)


def _broken(file: Path, error: Exception) -> BrokenWorkflowFile:
    """The error with the line of the author's own file in which it came up."""
    if isinstance(error, SyntaxError):
        return BrokenWorkflowFile(file=str(file), line=error.lineno or 1, problem=f"syntax: {error.msg}")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == file]
    line = frames[-1].lineno if frames else 1
    problem = str(error) if isinstance(error, InvalidWorkflow) else f"{type(error).__name__}: {error}"
    return BrokenWorkflowFile(file=str(file), line=line or 1, problem=re.sub(r"\s+", " ", problem).rstrip(". "))


@contextmanager
def _importable(folder: Path) -> Generator[None]:
    """Shared files import as plain modules (`from _tasks import …`), and only this folder's."""
    _forget(folder)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _forget(folder: Path) -> None:
    for name, module in list(sys.modules.items()):
        if name.startswith(("notify_flows.", "_")) and _is_workflow_file(module):
            del sys.modules[name]


def _is_workflow_file(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    return bool(file) and (Path(file).parent / "templates").is_dir()
