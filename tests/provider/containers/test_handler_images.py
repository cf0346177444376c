"""Handlers' folders as containers: an image is made of each, on a real engine, without any registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from springtide.provider.containers import container_labels
from springtide.provider.containers.engine.client import Engine
from springtide.provider.runtime_label import Runtime
from springtide.provider.spec import PROCESS_IMAGE, PYTHON_IMAGE, FunctionSpec
from springtide.runtime.errors import BadInput
from springtide.scaler.core.label_names import HANDLER, LANG
from springtide.scaler.core.label_table import RUNTIME
from tests.container_engine import PodmanServer
from tests.container_provider import Provider, call, containers_of, eventually, sides_of
from tests.provider.containers.conftest import connected
from tests.provider.contract.acts import ECHO, spec, when_ready
from tests.provider.process.wheels import make_wheel, requirements

HANDLER_PY = """
import os, pathlib, tide_sample

def handle(event, context):
    note = pathlib.Path("note.txt").read_text()
    return f"{event.body.decode()} {tide_sample.VERSION} {note} {os.getuid()} {os.environ['colour']}"
"""
CLASSIC = "def handle(req):\n    return req.upper()\n"


def handler(folder: Path, source: str, *, lang: str = "python3-http", **more: Any) -> FunctionSpec:
    folder.mkdir(exist_ok=True)
    (folder / "handler.py").write_text(source)
    return spec(image=PYTHON_IMAGE, env_process="", annotations={HANDLER: str(folder), LANG: lang}, **more)


async def test_handler_runs_with_what_it_requires_and_not_as_root(podman: PodmanServer, tmp_path: Path) -> None:
    folder = tmp_path / "greet"
    wanted = handler(folder, HANDLER_PY, env_vars={"colour": "blue"}, read_only_root_filesystem=True)
    make_wheel(folder / "wheels", "tide_sample", "1.2")
    (folder / "requirements.txt").write_text(requirements("tide_sample"))
    (folder / "note.txt").write_text("noted")

    async with containers_of(podman, tmp_path / "state") as provider:
        await provider.deploy(wanted)
        assert await call((await when_ready(provider, 1)).endpoints[0], "hi") == "hi 1.2 noted 12000 blue"


async def test_what_was_made_once_is_used_again_and_an_edited_handler_is_a_version_to_go_back_from(
    podman: PodmanServer, tmp_path: Path
) -> None:
    async with containers_of(podman, tmp_path / "state") as provider, connected(podman) as engine:
        selector = container_labels.made_here(container_labels.suite_of(tmp_path / "state"))
        await provider.deploy(handler(tmp_path / "greet", CLASSIC, lang="python3"))
        first = (await when_ready(provider, 1)).endpoints[0]
        assert await call(first, "loud") == "LOUD\n"
        made = {image.id for image in await engine.images(selector)}
        await provider.deploy(handler(tmp_path / "greet", CLASSIC, lang="python3"))
        assert {image.id for image in await engine.images(selector)} == made

        await provider.deploy(handler(tmp_path / "greet", "def handle(event, context):\n    return 'new'\n"))
        assert len(await engine.images(selector)) == len(made) + 1
        await eventually(lambda: says(provider, "new"))
        await provider.rollback(ECHO)
        await eventually(lambda: says(provider, "LOUD"))


async def test_handler_beside_processes_is_a_container_where_its_label_says_so(
    podman: PodmanServer, tmp_path: Path
) -> None:
    async with sides_of(podman, tmp_path / "state") as sides:
        wanted = handler(tmp_path / "greet", CLASSIC, lang="python3", labels={RUNTIME: "container"})
        await sides.provider.deploy(wanted)

        assert await call((await when_ready(sides.provider, 1)).endpoints[0], "loud") == "LOUD\n"
        assert (await sides.provider.status(ECHO)).runtime is Runtime.CONTAINER


async def says(provider: Provider, wanted: str) -> bool:
    """Whether that is what it answers; one that is being replaced answers anything, or nothing."""
    try:
        return (await call((await when_ready(provider, 1)).endpoints[0], "loud")).strip() == wanted
    except httpx.HTTPError:
        return False


async def test_what_cannot_become_an_image_is_refused_with_the_remedy(podman: PodmanServer, tmp_path: Path) -> None:
    async with containers_of(podman, tmp_path / "state") as provider:
        with pytest.raises(BadInput, match=r"no such folder|there is no handler\.py"):
            await provider.deploy(spec(image=PYTHON_IMAGE, annotations={HANDLER: str(tmp_path / "none")}))
        with pytest.raises(BadInput, match="a handler whose lang is node20, only of Python's"):
            await provider.deploy(spec(image=PYTHON_IMAGE, annotations={HANDLER: str(tmp_path), LANG: "node20"}))
        with pytest.raises(BadInput, match="stands for a program of this machine"):
            await provider.deploy(spec(image=PROCESS_IMAGE, env_process="wc"))


async def nothing(engine: Engine, suite: str) -> bool:
    own = container_labels.selector(suite)
    return not [*await engine.containers(own), *await engine.networks(own)]


async def test_nothing_is_left_of_a_function_that_was_removed(podman: PodmanServer, tmp_path: Path) -> None:
    """And when the provider ends for good, no image that it made."""
    suite = container_labels.suite_of(tmp_path / "state")
    async with connected(podman) as engine:
        async with containers_of(podman, tmp_path / "state", at_stop="stop") as provider:
            await provider.deploy(handler(tmp_path / "greet", CLASSIC, lang="python3"))
            await when_ready(provider, 1)
            await provider.delete(ECHO)
            await eventually(lambda: nothing(engine, suite))
            assert await engine.images(container_labels.made_here(suite)) != []
        async with containers_of(podman, tmp_path / "state", at_stop="remove") as provider:
            await provider.deploy(handler(tmp_path / "greet", CLASSIC, lang="python3"))
            await when_ready(provider, 1)
            await provider.delete(ECHO)

        assert await engine.images(container_labels.made_here(suite)) == []
