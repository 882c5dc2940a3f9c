"""Call a function of a module in a process of its own: `python -m tests.benchmarks.start <module> <function>`.

So the module is imported under its own name, which systems that find work by name insist on.
"""

from __future__ import annotations

import sys
from importlib import import_module

if __name__ == "__main__":
    getattr(import_module(sys.argv[1]), sys.argv[2])()
