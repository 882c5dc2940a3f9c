"""The repository's own source, read as text and as syntax, never imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One file of Python."""

    path: Path

    @property
    def place(self) -> str:
        """Where it is, as a reader would look for it."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def name(self) -> str:
        """Its dotted name."""
        return ".".join(Path(self.place).with_suffix("").parts).removesuffix(".__init__")

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def nodes(self) -> Iterator[ast.AST]:
        return ast.walk(self.tree)

    @property
    def functions(self) -> Iterator[Function]:
        return (node for node in self.nodes if isinstance(node, Function))


@cache
def modules(*folders: str) -> Sequence[Module]:
    """Every Python file below the folders."""
    return [_module(path) for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


@cache
def _module(path: Path) -> Module:
    """Read and parsed once, whoever asks for it."""
    return Module(path)


@cache
def imports(*, on_first_use: bool = False) -> Mapping[str, frozenset[str]]:
    """What each module of `notify` imports, at any depth: ours in full, others by package.

    With `on_first_use` also what it asks `import_module` for.
    """
    return {module.name: frozenset(_imported(module, on_first_use)) for module in modules("notify")}


def _imported(module: Module, on_first_use: bool) -> Iterator[str]:
    ours = {each.name for each in modules("notify")}
    for_types = {id(inner) for node in module.nodes if _is_for_types(node) for inner in ast.walk(node)}
    for node in module.nodes:
        if id(node) not in for_types and (on_first_use or not isinstance(node, ast.Call)):
            yield from (_module_of(name, ours) for name in _names(node))


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _names(node: ast.AST) -> list[str]:
    match node:
        case ast.Import():
            return [alias.name for alias in node.names]
        case ast.ImportFrom(module=str(module)):
            return [f"{module}.{alias.name}" for alias in node.names]
        case ast.Call(func=ast.Name("import_module") | ast.Attribute(attr="import_module"), args=[ast.Constant(name)]):
            return [str(name)]
        case _:
            return []


def _module_of(name: str, ours: set[str]) -> str:
    if not name.startswith("notify"):
        return name.partition(".")[0]
    while name not in ours and "." in name:
        name = name.rpartition(".")[0]
    return name
