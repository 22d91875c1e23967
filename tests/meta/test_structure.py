"""The source tree: what stands at its root, that imports have no cycle, and that private names stay in a package, and
in the tests in their file."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (ROOT / "mmrec", ROOT / "encoders" / "mmrec_encoders", ROOT / "serving" / "mmrec_serving")
FOLDERS = sorted(
    {path.parent for package in PACKAGES for path in package.rglob("*.py") if path.parent != ROOT / "mmrec" / "v1"}
)
LOOKUPS = ("getattr", "setattr", "hasattr", "delattr", "attrgetter", "methodcaller")
"""Calls that take the name of an attribute, as functions or as methods (of pytest's `monkeypatch`)."""
DOCUMENTED = {"_asdict", "_fields", "_make", "_replace", "_exit", "_python_dispatch"}
"""Public methods of named tuples, `os._exit`, and the module of torch's `TorchDispatchMode`."""


@cache
def _trees(folder: Path) -> dict[str, ast.Module]:
    """The modules of one package, without those of packages inside it, by path."""
    return {
        str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.py"))
    }


def _is_private(name: object) -> bool:
    return isinstance(name, str) and name.startswith("_") and not name.endswith("__") and name != "_"


def _defined(tree: ast.Module) -> set[str]:
    """Private names that the module gives to something of its own."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            names.add(node.attr)
    return {name for name in names if _is_private(name)}


def _used(tree: ast.Module) -> dict[str, str]:
    """Private attributes and imports of the module, each with a place where it is used."""
    used: dict[str, str] = {}
    for node in ast.walk(tree):
        names: list[object] = []
        if isinstance(node, ast.Attribute):
            names = [node.attr]
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names] + (node.module or "").split(".")
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in LOOKUPS:
            constants = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
            # `monkeypatch.setattr` takes the whole path of a name too.
            names = [str(constant).rpartition(".")[2] for constant in constants]
        used |= {str(name): f"line {node.lineno}: {ast.unparse(node)}" for name in names if _is_private(name)}
    return used


def _foreign(name: str, tree: ast.Module, own: set[str]) -> list[str]:
    """Uses of private names other than `own`."""
    return [f"{name} {place}" for private, place in _used(tree).items() if private not in own | DOCUMENTED]


def test_nothing_but_the_front_door_and_the_errors_stands_at_the_root() -> None:
    assert sorted(path.name for path in (ROOT / "mmrec").glob("*.py")) == ["__init__.py", "__main__.py", "errors.py"]


def test_no_modules_import_each_other_in_a_circle() -> None:
    # Imports under TYPE_CHECKING count: grimp leaves them in unless it is told otherwise.
    graph = grimp.build_graph(*(package.name for package in PACKAGES), cache_dir=None)
    circles = set()
    for module in graph.modules:
        upstream = graph.find_upstream_modules(module)
        circle = {other for other in upstream if module in graph.find_upstream_modules(other)}
        if circle:
            circles.add(" <-> ".join(sorted(circle | {module})))
    assert circles == set()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_no_private_attribute_of_another_package_is_used(folder: Path) -> None:
    own = set().union(*map(_defined, _trees(folder).values()))
    assert [use for name, tree in _trees(folder).items() for use in _foreign(name, tree, own)] == []


def test_no_test_uses_a_private_attribute_of_what_it_tests() -> None:
    folders = sorted({path.parent for path in (ROOT / "tests").rglob("*.py")})
    trees = [named for folder in folders for named in _trees(folder).items()]
    assert [use for name, tree in trees for use in _foreign(name, tree, _defined(tree))] == []
