"""The site, built once for all tests of it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.console import conftest as console
from tests.docs.site import Site, build

browser = console.browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    if importlib.util.find_spec("material") is None:
        pytest.skip("the site cannot be built: pip install 'springtide[docs]'")
    folder = tmp_path_factory.mktemp("site") / "docs"
    built = build(Path(folder))
    assert built.returncode == 0, built.stderr
    return Site(folder)
