"""Importing a handler as OpenFaaS's Python templates do: its folder is the package ``function``.

In their containers the current folder, and the first place that modules are looked for, is the one above the handler's
folder. A replica's current folder is one of its own that looks like that. What is found there is found here; beyond
that, plain names and relative paths of the handler's own folder work, which are looked for last.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import importlib.util
import os
import shutil
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

PACKAGE = "function"
MAX_LINKS = 1000
"""Entries of the handler's folder that are in the current folder, too."""
_SEARCHED = ".packages"
"""The folder, in the current one, that has the package and nothing else. Processes that ``multiprocessing`` starts
anew find it there."""


def made_folder(handler: Path, place: Path) -> Path:
    """A new current folder for this process, inside ``place``, with the handler's folder in it as ``function``.

    Raises OSError.
    """
    folder = _new_folder(place)
    (folder / _SEARCHED).mkdir(exist_ok=True)
    for link in (folder / PACKAGE, folder / _SEARCHED / PACKAGE):
        link.symlink_to(handler)
    standard = getattr(sys, "stdlib_module_names", ())
    entries = [entry for entry in handler.iterdir() if entry.stem not in standard and entry.name != "__pycache__"]
    _link(entries[:MAX_LINKS], folder)
    return folder


def linked_folder(code: Path, place: Path) -> Path:
    """A new current folder for a program of what was deployed: what that writes there is no part of the version.

    Of very many files no folder is made, and ``code`` is returned. Raises OSError.
    """
    entries = list(code.iterdir())
    if len(entries) > MAX_LINKS:
        return code
    folder = _new_folder(place)
    _link(entries, folder)
    return folder


def _new_folder(place: Path) -> Path:
    folder = place / f"replica-{os.getpid()}"
    if folder.exists():  # An earlier process had the same number.
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _link(entries: Iterable[Path], folder: Path) -> None:
    for entry in entries:
        with contextlib.suppress(FileExistsError):
            (folder / entry.name).symlink_to(entry)


def remove_left_folders(place: Path) -> None:
    """Those that processes which are gone had in ``place``. Slow on a busy disk: not for a replica that starts."""
    for old in place.glob("replica-*"):
        number = old.name.rpartition("-")[2]
        if number.isdecimal() and not Path("/proc", number).exists():
            shutil.rmtree(old, ignore_errors=True)


def load(folder: Path) -> Callable[..., Any]:
    """``handle`` of ``handler.py`` in the folder. Raises whatever importing the function's code raises."""
    prepare(folder)
    return handle_of(folder)


def prepare(folder: Path) -> None:
    """Make this process look like the template's program: its modules' places, its main module and its arguments."""
    here = Path.cwd() / _SEARCHED
    sys.path[:] = [
        *([str(here)] if here.is_dir() else []),
        *(place for place in sys.path if place not in ("", ".", str(folder))),
        # Last, since in a container it is not searched at all: no file of the handler's hides a library.
        str(folder),
    ]
    sys.argv[:] = ["index.py"]
    # Of the host's main module multiprocessing would tell its new processes, which would run it.
    sys.modules["__main__"] = types.ModuleType("__main__")


def handle_of(folder: Path) -> Callable[..., Any]:
    """Import the handler. Raises whatever its code raises, and TypeError when it has no ``handle``."""
    spec = _package_spec(folder)
    package = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = package
    assert spec.loader is not None
    spec.loader.exec_module(package)
    module = importlib.import_module(f"{PACKAGE}.handler")
    handle = getattr(module, "handle", None)
    if not callable(handle):
        raise TypeError(f"{folder / 'handler.py'}: no function handle(event, context)")
    return handle  # type: ignore[no-any-return]


class _EmptyModule(importlib.machinery.SourceFileLoader):
    """Stands for the empty ``__init__.py`` that the templates put beside a handler that has none."""

    def get_data(self, path: str) -> bytes:
        return b"" if path == self.path else super().get_data(path)

    def path_stats(self, path: str) -> Mapping[str, Any]:
        raise OSError(path)  # So nothing is kept of it beside the handler.


def _package_spec(folder: Path) -> importlib.machinery.ModuleSpec:
    initial = folder / "__init__.py"
    loader = None if initial.is_file() else _EmptyModule(PACKAGE, str(initial))
    spec = importlib.util.spec_from_file_location(
        PACKAGE, initial, loader=loader, submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    return spec
