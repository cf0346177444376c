"""What the shipped code imports is declared: nothing is there only because something else happened to bring it."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SHIPPED = [link.resolve() for link in (ROOT / "src" / "springtide").iterdir() if link.is_symlink()]


UNIMPORTED = {"litecharts", "tzdata", "uv", "httptools"}
"""Data, ours and the standard library's; a program; and what a protocol of uvicorn imports and does not require."""


BROUGHT = {"botocore": "aiobotocore"}
"""By the one that takes few versions of it: of both named here pip would try versions for an hour."""


def canonical(requirement: str) -> str:
    """The name of a requirement as package indexes compare it (PEP 503)."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def imported(folders: list[Path]) -> dict[str, str]:
    """Top-level names that are neither ours nor the standard library's, and one file that imports each."""
    found: dict[str, str] = {}
    for file in (file for folder in folders for file in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            found.update((name.split(".")[0], str(file.relative_to(ROOT))) for name in names)
    return {name: file for name, file in found.items() if name not in {*sys.stdlib_module_names, "springtide"}}


def test_every_import_of_the_shipped_code_is_declared() -> None:
    extras = [one for some in PROJECT["optional-dependencies"].values() for one in some]
    declared = {canonical(requirement) for requirement in (*PROJECT["dependencies"], *extras)}
    distributions = packages_distributions()

    imports = imported(SHIPPED)
    undeclared = {
        name: file
        for name, file in imports.items()
        if not declared.intersection(map(canonical, distributions.get(BROUGHT.get(name, name), [])))
    }

    assert "httpx" in imports
    assert undeclared == {}
    assert declared & BROUGHT.keys() == set()


def test_every_dependency_is_used() -> None:
    distributions = packages_distributions()
    used = {canonical(one) for name in imported([*SHIPPED, ROOT / "deploy"]) for one in distributions.get(name, [])}

    assert {canonical(requirement) for requirement in PROJECT["dependencies"]} - used <= UNIMPORTED
