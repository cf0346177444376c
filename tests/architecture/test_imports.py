"""The house stays as it is drawn: imports point down and in no circle, siblings are strangers, the core is pure."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHARED = {"wire", "scaler.core", "runtime"}
PARTS = {
    "gateway",
    "idler",
    "alert_receiver",
    "provider",
    "rules",
    "dashboards",
    "console",
    "watchdog",
    "queue_worker",
    "triggers",
}
BELOW = {
    "watchdog": set(),
    "runtime": set(),
    "scaler.core": {"runtime.durations"},
    "wire": {"scaler.core", "runtime"},
    "scaler": SHARED,
    "gateway": {"scaler", *SHARED},
    "idler": {"scaler", *SHARED},
    "alert_receiver": {"scaler", *SHARED},
    "provider": {"scaler", "watchdog", *SHARED},
    "rules": {"scaler", *SHARED},
    "dashboards": {"rules", "scaler", *SHARED},
    "console": {"scaler", *SHARED},
    "queue_worker": {"scaler", *SHARED},
    "triggers": {"scaler", *SHARED},
    "cli": {"scaler", *PARTS, *SHARED},
    "deploy": {"cli", "scaler", *PARTS, *SHARED},
    "reference": {"deploy", "cli", "scaler", *PARTS, *SHARED},
}
"""Each layer and what it may import, innermost layer first where one lies inside another."""

NOT_INSTALLED = {"deploy", "reference"}

BANNED_IN_CORE = {"time", "random", "os", "logging", "asyncio", "socket", "threading", "secrets", "uuid", "io"}


def imports(file: Path) -> Iterator[tuple[str, int]]:
    """Every module that may be imported by the file, those for the type checker included, without ``springtide.``."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name.removeprefix("springtide."), node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                assert file.is_relative_to(ROOT / "watchdog"), f"{file}:{node.lineno}: relative import"
                package = [*file.parent.relative_to(ROOT).parts][: 1 - node.level or None]
                module = ".".join(["springtide", *package, module]).rstrip(".")
            if module == "springtide":
                yield from ((alias.name, node.lineno) for alias in node.names)
            elif module.startswith("springtide."):
                module = module.removeprefix("springtide.")
                # ``from package import module`` needs the module, ``from module import name`` the module before it.
                for alias in node.names:
                    inner = f"{module}.{alias.name}"
                    yield (inner if path_of(inner) else module), node.lineno
            else:
                yield module, node.lineno


def path_of(module: str) -> Path | None:
    base = ROOT.joinpath(*module.split("."))
    if base.with_suffix(".py").is_file():
        return base.with_suffix(".py")
    return base / "__init__.py" if (base / "__init__.py").is_file() else None


def layer_of(module: str) -> str | None:
    return next((name for name in sorted(BELOW, key=len, reverse=True) if f"{module}.".startswith(f"{name}.")), None)


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def dotted(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = [file for package in sorted({layer.split(".")[0] for layer in BELOW}) for file in modules(package)]


def test_every_folder_of_code_is_a_layer_and_a_part_of_the_package() -> None:
    links = {link.name for link in (ROOT / "src" / "springtide").iterdir() if link.is_symlink()}
    layers = {layer.split(".")[0] for layer in BELOW}

    assert links == layers - NOT_INSTALLED


@pytest.mark.parametrize("layer", sorted(BELOW))
def test_imports_point_down(layer: str) -> None:
    files = [file for file in FILES if layer_of(dotted(file)) == layer]
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {name}"
        for file in files
        for name, line in imports(file)
        if (other := layer_of(name)) is not None
        and other != layer
        and not any(f"{name}.".startswith(f"{allowed}.") for allowed in BELOW[layer])
    ]

    assert files
    assert wrong == []


def test_own_modules_are_imported_by_the_packages_name() -> None:
    tops = {layer.split(".")[0] for layer in BELOW} - NOT_INSTALLED
    wrong = [
        f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
        for folder in (*tops, *NOT_INSTALLED, "tests", "bench")
        for file in modules(folder)
        for node in ast.walk(ast.parse(file.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        if name.split(".")[0] in tops
    ]

    assert wrong == []


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Every set of modules that import each other, by Tarjan's algorithm (SIAM J. Comput. 1(2), 1972)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        number[node] = low[node] = len(number)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in number:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], number[other])
        if low[node] == number[node]:
            at = stack.index(node)
            component = stack[at:]
            del stack[at:]
            if len(component) > 1:
                found.append(sorted(component))

    for node in sorted(graph):
        if node not in number:
            visit(node)
    return found


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Imports for the type checker count, too: who needs the other's type needs the other."""
    names = {dotted(file) for file in FILES}
    graph = {dotted(file): {name for name, _ in imports(file) if name in names} - {dotted(file)} for file in FILES}

    assert circles(graph) == []


GATEWAY_LAYERS = (
    {
        *("http1", "settings", "deadlines", "disconnect_watcher", "trace_context", "call_metrics", "call_state"),
        *("endpoint_source", "open_files", "shared_room", "time_limit", "broken_answers"),
    },
    {"call_limits", "resend", "upload", "call_record", "system_proxy", "request_counts"},
    {"timeouts", "metrics"},
    {"client_connection", "replica_connection", "access_log", "spans", "builder_api", "events_api"},
    {"backend_replica", "tunnel", "draining", "tracing"},
    {"connector", "route"},
    {"route_table", "coldstart", "asynchronous"},
    {"call", "invocation_counts", "deploy_api", "load_counts", "webhooks", "busy_periods"},
    {"load_streams"},
    {"dispatcher", "system_api"},
    {"data_plane"},
    {"service"},
    {"workers"},
)
"""The modules and folders of ``gateway/``, lowest first: each imports what is below it, never what stands beside it."""


def test_layers_inside_the_gateway_point_down() -> None:
    level = {name: number for number, names in enumerate(GATEWAY_LAYERS) for name in names}
    files = [file for file in modules("gateway") if dotted(file) != "gateway"]
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {name}"
        for file in files
        for name, line in imports(file)
        if name.startswith("gateway.")
        and (own := dotted(file).split(".")[1]) != (other := name.split(".")[1])
        and level[own] <= level[other]
    ]

    assert set(level) == {dotted(file).split(".")[1] for file in files}
    assert wrong == []


def test_core_is_standard_library_only_and_pure() -> None:
    wrong = []
    for file in modules("scaler/core"):
        for name, line in imports(file):
            top = name.split(".")[0]
            ours = name.startswith("scaler.core") or name == "runtime.durations"
            if not ours and (top not in sys.stdlib_module_names or top in BANNED_IN_CORE):
                wrong.append(f"{file.relative_to(ROOT)}:{line} imports {name}")

    assert wrong == []


def test_watchdog_imports_itself_relatively_and_else_the_standard_library() -> None:
    """So the same folder can be a package of another name, in the interpreter of a function."""
    files = modules("watchdog")
    wrong = []
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            foreign = {name.split(".")[0] for name in names} - sys.stdlib_module_names
            wrong += [f"{file.relative_to(ROOT)} imports {name}" for name in foreign]

    assert files
    assert wrong == []


CALL_BEGINS = ROOT / "watchdog" / "handler_fork.py"
"""Where a process for one call becomes the function's program, and its environment the call's."""


def test_environment_is_read_by_entry_points_only() -> None:
    wrong = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in FILES
        if file.name != "__main__.py" and file != CALL_BEGINS
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in ("environ", "getenv")
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    ]

    assert wrong == []
