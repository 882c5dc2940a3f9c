"""Reading NDJSON of any size in constant memory: pages in, counts and the first errors out."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import orjson
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from notify.errors import InvalidInput, NotFound

T = TypeVar("T")
PAGE = 1000
#: Errors kept with their line numbers; the others are counted.
KEPT = 100
#: No line of an event or a person is longer than this.
_LONGEST = 4_000_000


@dataclass
class Tally:
    """What became of the lines."""

    counts: dict[str, int] = field(default_factory=lambda: dict[str, int]())
    rejected: int = 0
    errors: list[dict[str, Any]] = field(default_factory=lambda: list[dict[str, Any]]())

    def add(self, outcome: str, count: int = 1) -> None:
        """Count lines that came to `outcome`."""
        self.counts[outcome] = self.counts.get(outcome, 0) + count

    def reject(self, line: int, problem: str) -> None:
        """Count a line that was refused; the first ones are kept with their number."""
        self.rejected += 1
        if len(self.errors) < KEPT:
            self.errors.append({"line": line, "problem": problem})

    def as_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {**self.counts, "rejected": self.rejected, "errors": self.errors}


def stream(source: str, parse: Callable[[Any], T], keep: Callable[[Sequence[T], Tally], None]) -> Tally:
    """Parse each line of a file (`-` is standard input) and keep them page by page; a bad line stops nobody else."""
    tally = Tally()
    page: list[T] = []
    with _opened(source) as (file, advance):
        for number, line in enumerate(_lines(file), 1):
            advance(len(line))
            if (parsed := _parsed(line, number, parse, tally)) is not None:
                page.append(parsed)
            if len(page) == PAGE:
                keep(page, tally)
                page = []
    if page:
        keep(page, tally)
    return tally


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(_LONGEST):
        yield line


def _parsed(line: bytes, number: int, parse: Callable[[Any], T], tally: Tally) -> T | None:
    if not line.strip():
        return None
    try:
        return parse(orjson.loads(line))
    except orjson.JSONDecodeError as error:
        tally.reject(number, f"not JSON: {error}. Write one JSON object a line")
    except InvalidInput as error:
        tally.reject(number, str(error))
    return None


@contextmanager
def _opened(source: str) -> Generator[tuple[BinaryIO, Callable[[int], None]]]:
    if source == "-":
        yield sys.stdin.buffer, lambda size: None
        return
    path = Path(source)
    if not path.is_file():
        raise NotFound(what="file", id=source, remedy="Check the path; `-` reads standard input.")
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with (
        path.open("rb") as file,
        Progress(*columns, console=Console(stderr=True), transient=True) as progress,
    ):
        task = progress.add_task(path.name, total=path.stat().st_size)
        yield io.BufferedReader(file.raw, 1 << 20), lambda size: progress.advance(task, size)  # type: ignore[arg-type]


def report(tally: Tally, *, as_json: bool, names: Sequence[str]) -> None:
    """Print what became of the lines: one line of counts, then each error with its line number."""
    if as_json:
        print(orjson.dumps({name: 0 for name in names} | tally.as_json()).decode())
        return
    counts = [f"{tally.counts.get(name, 0):,} {name}" for name in names]
    print(" · ".join([*counts, f"{tally.rejected:,} rejected"]))
    for error in tally.errors:
        print(f"  line {error['line']}: {error['problem']}", file=sys.stderr)
    if tally.rejected > len(tally.errors):
        print(f"  … and {tally.rejected - len(tally.errors):,} more", file=sys.stderr)
