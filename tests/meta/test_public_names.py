"""`__all__` of a package is its public interface: nothing in it is missing, and no module has one of its own."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (ROOT / "mmrec", ROOT / "encoders" / "mmrec_encoders", ROOT / "serving" / "mmrec_serving")
SOURCES = sorted(
    path
    for package in PACKAGES
    for path in package.rglob("*.py")
    if "v1" not in path.parts and path.name != "__main__.py"
)


def _listed(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
            names = ast.literal_eval(node.value)
            assert isinstance(names, list)
            return names
    return None


def _defined(tree: ast.Module) -> set[str]:
    """Public classes and functions of the module; what it imports belongs to somebody else."""
    kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")}


def _assigned(tree: ast.Module) -> set[str]:
    """Public constants and type aliases of the module."""
    names: set[str] = set()
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if not ast.unparse(node).partition("= ")[2].startswith(("TypeVar(", "ParamSpec(")):
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return {name for name in names if not name.startswith("_")}


def _imported(tree: ast.Module) -> set[str]:
    return {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module != "__future__"
        for alias in node.names
    }


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_only_packages_say_what_is_public() -> None:
    modules = [path for path in SOURCES if path.name != "__init__.py"]
    assert [_name(path) for path in modules if _listed(ast.parse(path.read_text(encoding="utf-8"))) is not None] == []


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name == "__init__.py"], ids=_name)
def test_all_of_a_package_names_only_what_is_there(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if path.parent == ROOT / "mmrec":
        pytest.skip("the front door is imported lazily; see test_the_front_door_opens_on_every_name")
    assert set(_listed(tree) or ()) - _imported(tree) <= _defined(tree) | _assigned(tree)


def test_the_front_door_opens_on_every_name() -> None:
    import mmrec

    assert mmrec.__all__ == [
        "__version__",
        "AsyncClient",
        "CallTiming",
        "ChangeEntry",
        "ChangeResults",
        "Client",
        "Constraint",
        "ConversationState",
        "ConversationTurn",
        "DeletedUser",
        "DuplicateGroup",
        "DuplicateGroups",
        "EmbedResults",
        "EventPage",
        "EventResults",
        "Evidence",
        "Explanation",
        "Explanations",
        "FilterMode",
        "HistoryEvent",
        "ItemEmbedding",
        "ItemFailure",
        "ItemInput",
        "ItemLookup",
        "ItemPage",
        "ItemPath",
        "ItemRecord",
        "ItemTags",
        "Mismatch",
        "Mismatches",
        "MmrecError",
        "Modality",
        "NumberFormat",
        "PredictedRating",
        "PredictedRatings",
        "Promotion",
        "RecommendRequest",
        "Recommendations",
        "Recommender",
        "ResolvedPath",
        "ResolvedPaths",
        "ScoredItem",
        "SearchRequest",
        "SearchResults",
        "SemanticIds",
        "ServiceInfo",
        "SimilarRequest",
        "Statement",
        "StatementKind",
        "Tag",
        "TagCalibration",
        "TagResults",
        "Tls",
        "UserEmbedding",
        "UserEvent",
        "Versions",
    ]
    assert [name for name in mmrec.__all__ if getattr(mmrec, name, None) is None] == []
