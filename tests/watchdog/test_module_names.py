"""A handler's own modules, and the libraries it brings, may be called like Springtide's parts."""

from __future__ import annotations

from pathlib import Path

import pytest

import springtide
from tests.provider.process.conftest import Shared

PARTS = sorted(
    entry.name for entry in Path(springtide.__path__[0]).iterdir() if entry.is_dir() and entry.name[0] != "_"
)
"""Every part of the suite: none of these names may be taken in a replica."""

REPORTS = f"""
import importlib, sys

NAMES = {PARTS!r}

def handle(event, context):
    return {{name: importlib.import_module(name).OWNER for name in NAMES}}
"""
SEARCHES_LIBRARIES_LAST = """
import os, sys
sys.path.append(os.environ["LIBRARIES"])
"""


def modules(folder: Path, owner: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in PARTS:
        (folder / f"{name}.py").write_text(f"OWNER = {owner!r}\n")


@pytest.mark.parametrize("name", ["runtime", "gateway", "provider", "scaler", "rules", "watchdog"])
def test_parts_are_where_this_test_looks_for_them(name: str) -> None:
    assert name in PARTS


def test_modules_beside_the_handler_are_the_handlers(shared: Shared) -> None:
    world = shared.world
    annotations = world.handler(REPORTS, "names-beside")
    modules(world.folder / "names-beside", "the handler")

    address = shared.run(world.up("names-beside", annotations=annotations))
    answer = shared.run(world.http.get(address))

    assert answer.json() == dict.fromkeys(PARTS, "the handler")


def test_libraries_of_such_names_are_found_though_searched_last(shared: Shared, tmp_path: Path) -> None:
    world = shared.world
    modules(tmp_path / "libraries", "a library")
    env = {"LIBRARIES": str(tmp_path / "libraries")}
    annotations = world.handler(SEARCHES_LIBRARIES_LAST + REPORTS, "names-library")

    address = shared.run(world.up("names-library", env=env, annotations=annotations))
    answer = shared.run(world.http.get(address))

    assert answer.json() == dict.fromkeys(PARTS, "a library")
