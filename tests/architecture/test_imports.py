"""The house stays as it is drawn: imports point down, siblings are strangers, the core is pure."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BELOW = {
    "runtime": set(),
    "scaler": {"runtime"},
    "gateway": {"scaler", "runtime"},
    "idler": {"scaler", "runtime"},
    "alert_receiver": {"scaler", "runtime"},
    "provider": {"scaler", "runtime"},
    "rules": {"scaler", "runtime"},
    "dashboards": {"rules", "scaler", "runtime"},
    "console": {"scaler", "runtime"},
    "suite": {"gateway", "idler", "alert_receiver", "provider", "rules", "dashboards", "console", "scaler", "runtime"},
    "deploy": {"suite", "provider", "rules", "dashboards", "scaler", "runtime"},
}
BANNED_IN_CORE = {"time", "random", "os", "logging", "asyncio", "socket", "threading", "secrets", "uuid", "io"}


def imported(file: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: relative import"
            yield node.module or "", node.lineno


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", sorted(BELOW))
def test_imports_point_down(package: str) -> None:
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {name}"
        for file in modules(package)
        for name, line in imported(file)
        if (top := name.split(".")[0]) in BELOW and top != package and top not in BELOW[package]
    ]

    assert modules(package)
    assert wrong == []


def test_core_is_standard_library_only_and_pure() -> None:
    wrong = []
    for file in modules("scaler/core"):
        for name, line in imported(file):
            top = name.split(".")[0]
            ours = name.startswith("scaler.core") or name == "runtime.durations"
            if not ours and (top not in sys.stdlib_module_names or top in BANNED_IN_CORE):
                wrong.append(f"{file.relative_to(ROOT)}:{line} imports {name}")

    assert wrong == []


def test_environment_is_read_by_entry_points_only() -> None:
    wrong = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for package in BELOW
        for file in modules(package)
        if file.name != "__main__.py"
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in ("environ", "getenv")
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    ]

    assert wrong == []
