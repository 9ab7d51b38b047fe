"""The arrows of docs/architecture.md: who may import whom, and how long a module may be."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ALLOWED = {
    "sky": set(),
    "models": {"sky"},
    "catalog": {"sky", "migrations"},
    "reports": {"sky", "catalog", "models"},
    "migrations": {"catalog", "sky"},
    "workers": {"sky", "models", "catalog", "reports", "migrations"},
}
PACKAGES = set(ALLOWED)
MODULES = sorted(p for name in ALLOWED for p in (ROOT / name).rglob("*.py"))


def imported_packages(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names & PACKAGES


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    assert imported_packages(path) - {package} <= ALLOWED[package]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_module_is_a_giant(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 500


def test_every_package_is_shipped() -> None:
    import tomllib

    shipped = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {".".join(p.parent.relative_to(ROOT).parts) for p in MODULES}
    assert found <= shipped
