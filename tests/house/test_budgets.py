"""The bar, so that it holds itself: sizes, names, imports, and what the repository shows at its top."""

from __future__ import annotations

import ast
import graphlib
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Collection

import pytest

from tests.house.source import ROOT, Function, imports, modules

TOP_LEVEL = {"pyproject.toml", "README.md", "LICENSE", "flows", "notify", "deployments", "tests", "prefect.yaml"}
MEDIAN, P95, FILE = 8, 40, 300
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc"}
#: Free to use everything; and those that cannot be listed without all they contain.
ENTRANCES, PACKAGES = {"notify.cli", "notify.commands"}, {"notify", "notify.engine"}
CLOCKS = {"time", "asyncio", "anyio", "trio"}


def _lines(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def test_functions_are_small() -> None:
    sizes = sorted(
        (_lines(function), f"{module.place}:{function.lineno} {function.name}")
        for module in modules("notify", "flows")
        for function in module.functions
    )
    lengths = [length for length, _ in sizes]

    assert statistics.median(lengths) <= MEDIAN
    assert statistics.quantiles(lengths, n=20)[-1] <= P95, sizes[-len(sizes) // 20 :]


def test_files_are_short() -> None:
    sizes = {
        module.place: module.text.count("\n")
        for module in modules("notify", "flows", "tests")
        if "/migrations/versions/" not in module.place  # a release of the schema is written once and never again
    }

    assert {place: size for place, size in sizes.items() if size > FILE} == {}


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [module.place for module in modules("notify", "flows", "tests") if VAGUE & set(module.name.split("."))] == []


def test_imports_stand_at_the_top_of_a_file() -> None:
    hidden = [
        f"{module.place}:{node.lineno}"
        for module in modules("notify")
        for function in module.functions
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]

    assert hidden == []


def test_no_module_imports_itself_however_far_around() -> None:
    graph = {name: imported - {name} for name, imported in imports(on_first_use=True).items()}

    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_only_the_engine_imports_prefect() -> None:
    importers = [name for name, imported in imports().items() if "prefect" in imported]

    assert [name for name in importers if not name.startswith("notify.engine.")] == []


def test_every_module_that_needs_no_prefect_is_held_to_it() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [held] = [contract["source_modules"] for contract in contracts if contract["name"] == "no Prefect here"]
    free = [name for name in imports() if not _loads(name) and not _within(name, ENTRANCES) and name not in PACKAGES]

    assert [name for name in free if not _within(name, held)] == []


def _within(name: str, rooms: Collection[str]) -> bool:
    return any(f"{name}.".startswith(f"{room}.") for room in rooms)


def _loads(name: str, wanted: str = "prefect", seen: frozenset[str] = frozenset()) -> bool:
    imported = imports().get(name, frozenset()) - seen
    return wanted in imported or any(_loads(each, wanted, seen | imported) for each in imported)


@pytest.mark.parametrize("entrance", ["notify", "notify.client"])
def test_an_emitting_application_loads_only_what_emits(entrance: str) -> None:
    question = (
        f"import sys, {entrance}; print([name for name in ('prefect', 'pandas', 'fastapi') if name in sys.modules])"
    )

    answer = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, check=False)

    assert (answer.stdout.strip(), answer.stderr) == ("[]", "")


def test_tests_wait_for_conditions_and_never_for_time_to_pass() -> None:
    found = [
        f"{module.place}:{node.lineno}"
        for module in modules("tests")
        for node in module.nodes
        if isinstance(node, ast.Call | ast.ImportFrom) and _sleeps(node)
    ]

    assert found == []


def _sleeps(node: ast.Call | ast.ImportFrom) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr="sleep")):
            return module in CLOCKS
        case ast.ImportFrom(module=str(module)):
            return module in CLOCKS and any(alias.name == "sleep" for alias in node.names)
        case _:
            return False


def test_every_workflow_file_ends_in_its_flow() -> None:
    authored = [
        module for module in modules("flows") if module.path.parent == ROOT / "flows" and module.path.stem[0] != "_"
    ]
    endings = {module.place: ast.unparse(module.tree.body[-1]) for module in authored}

    assert endings
    assert {place: end for place, end in endings.items() if not end.startswith("flow = prefect_flow(")} == {}


def test_the_top_of_the_repository_shows_what_was_agreed() -> None:
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()

    assert {place.partition("/")[0] for place in listed if not place.startswith(".")} == TOP_LEVEL
