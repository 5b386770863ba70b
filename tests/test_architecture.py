"""The rooms of the house: each may import only from rooms listed above it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "hilum"
ROOMS = [
    "__init__",
    "errors",
    "study",
    "atomic",
    "progress",
    "ahead",
    "allocator",
    "waiting",
    "device",
    "precision",
    "averaging",
    "parallel",
    "text",
    "imaging",
    "metrics",
    "data",
    "deidentification",
    "models",
    "decoding",
    "consistency",
    "explain",
    "worth",
    "retrieval",
    "retrieved",
    "consensus",
    "choice",
    "diagnoses",
    "checkpoints",
    "backend",
    "operating",
    "places",
    "readers",
    "objectives",
    "rewards",
    "configuration",
    "lineage",
    "training",
    "combining",
    "recipes",
    "summary",
    "cascade",
    "reporter",
    "faithfulness",
    "explanations",
    "yardsticks",
    "evaluation",
    "intake",
    "interop",
    "page",
    "appraisal",
    "demo",
    "service",
    "doctor",
    "commands",
    "cli",
    "__main__",
]
NO_TORCH = {"errors", "study", "atomic", "progress", "ahead", "allocator", "text", "metrics", "consensus"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """Every module that ``path`` imports, at any depth of its code."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            found |= {f"{module}.{alias.name}" for alias in node.names} if module == "hilum" else {module}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    room = room_of(path)
    assert room in ROOMS, f"{room} is not a room; draw it in ROOMS and in docs/architecture.md"
    for name in imports_of(path):
        if name.split(".")[0] != "hilum" or name in ("hilum", "hilum.__version__"):
            continue
        other = name.split(".")[1]
        assert ROOMS.index(other) <= ROOMS.index(room), f"{room} must not import {other}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_text_and_metrics_know_no_torch(path: Path) -> None:
    if room_of(path) in NO_TORCH:
        assert not {name for name in imports_of(path) if name.split(".")[0] == "torch"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_needs_torchvision(path: Path) -> None:
    assert not {name for name in imports_of(path) if name.split(".")[0] == "torchvision"}


def test_the_drawn_tree_names_every_module() -> None:
    drawn = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    tree = drawn[drawn.index("```tree") :]
    missing = [str(path.relative_to(PACKAGE)) for path in MODULES if f"{_drawn_as(path)} " not in tree]
    assert not missing, f"draw them in docs/architecture.md: {', '.join(missing)}"


def _drawn_as(path: Path) -> str:
    inside = path.relative_to(PACKAGE).parts[1:] or (path.name,)
    if path.name == "__init__.py" and path.parent != PACKAGE:
        return f"{path.parent.name}/"
    return "/".join(inside)
