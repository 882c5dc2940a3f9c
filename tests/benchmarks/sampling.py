"""Where a process spends its time: py-spy beside it, and its samples added up by function."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

RATE = 100
SHOWN = 40


class Sampler:
    """py-spy on one process, for the length of a `with` block. It needs `pip install py-spy`, and root or ptrace."""

    def __init__(self, pid: int, output: Path) -> None:
        program = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
        if program is None:
            raise SystemExit("--profile needs py-spy: pip install py-spy")
        self.output = output
        self.command = [program, "record", "--format", "raw", "--rate", str(RATE), "--threads", "--nonblocking"]
        self.command += ["--duration", "600", "--pid", str(pid), "--output", str(output)]

    def __enter__(self) -> Sampler:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)

    def report(self) -> str:
        """Threads, then functions by the time spent below them and by their own."""
        threads, below, own = Counter[str](), Counter[str](), Counter[str]()
        for frames, count in _stacks(self.output):
            threads[frames[0]] += count
            own[_function(frames[-1])] += count
            below.update(dict.fromkeys(map(_function, frames[1:]), count))
        return "\n".join(
            [_table("threads", threads), _table("with what they call", below), _table("of their own", own)]
        )


def _stacks(file: Path) -> Iterable[tuple[list[str], int]]:
    for line in file.read_text().splitlines():
        frames, _, count = line.rpartition(" ")
        yield frames.split(";"), int(count)


def _function(frame: str) -> str:
    """`deliver (notify/engine/delivery.py:41)` without its line."""
    return re.sub(r":\d+\)$", ")", frame)


def _table(title: str, found: Counter[str]) -> str:
    lines = [f"  {count / RATE:7.2f} s  {name}" for name, count in found.most_common(SHOWN)]
    return "\n".join([f"{title}:", *lines])
