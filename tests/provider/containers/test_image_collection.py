"""Images that the suite pulled go again, on a real engine; whatever is somebody else's stays."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from springtide.provider.containers.credential_helpers import CredentialHelpers
from springtide.provider.containers.engine.client import Engine
from springtide.provider.containers.image_use import NOTHING
from springtide.provider.containers.images import Images
from springtide.provider.containers.settings import ContainerSettings
from springtide.provider.machine.state_files import StateFiles
from springtide.runtime.clock import SystemClock
from springtide.runtime.errors import BadInput
from tests.container_engine import PodmanServer
from tests.image_registry import Registry, serving
from tests.provider.containers.conftest import connected
from tests.provider.contract.acts import spec

KEEPER = """#!/bin/sh
echo '{"Username": "me", "Secret": "hunter2"}'
"""


@asynccontextmanager
async def images_of(engine: Engine, folder: Path, *, policy: str = "IfNotPresent") -> AsyncIterator[Images]:
    folder.mkdir(exist_ok=True)
    helpers = CredentialHelpers(folder, {"PATH": str(folder)})
    settings = ContainerSettings(image_pull_policy=policy)
    images = Images(engine, StateFiles(folder), settings, helpers, suite="tests", clock=SystemClock())
    await images.open()
    yield images


async def test_pulled_images_go_when_nothing_names_them_and_those_of_others_stay(
    podman: PodmanServer, tmp_path: Path
) -> None:
    registry = Registry()
    for name in ("named", "unnamed", "users"):
        registry.add(f"tests/{name}", name)
    users = f"{podman.registry}/tests/users:latest"

    with serving(registry, int(podman.registry.rpartition(":")[2])):
        async with connected(podman) as engine, images_of(engine, tmp_path) as images:
            await engine.pull(users, login="", tell=lambda _: None)
            known = {
                name: await images.of(spec(image=f"{podman.registry}/tests/{name}:latest"))
                for name in ("named", "unnamed", "users")
            }
            assert await images.collect({known["named"].id}) == []

            async with images_of(engine, tmp_path) as later:
                gone = await later.collect({known["named"].id}, NOTHING)

            assert gone == [known["unnamed"].id]
            assert await engine.image(f"{podman.registry}/tests/unnamed:latest") is None
            assert await engine.image(known["named"].id) is not None
            assert await engine.image(users) is not None


async def test_image_that_a_container_of_somebody_elses_has_stays(podman: PodmanServer, tmp_path: Path) -> None:
    registry = Registry()
    registry.add("tests/used", "used")
    image = f"{podman.registry}/tests/used:latest"

    with serving(registry, int(podman.registry.rpartition(":")[2])):
        async with connected(podman) as engine, images_of(engine, tmp_path) as images:
            pulled = await images.of(spec(image=image))
            container = await engine.create("somebody-elses", {"Image": image, "Cmd": ["/none"]})
            try:
                assert await images.collect(set(), NOTHING) == []
            finally:
                await engine.remove(container)

            assert await images.collect(set(), NOTHING) == [pulled.id]


async def test_image_behind_a_login_is_pulled_with_what_a_credential_helper_keeps(
    podman: PodmanServer, tmp_path: Path
) -> None:
    registry = Registry(user="me", password="hunter2")
    registry.add("tests/private", "private")
    wanted = spec(image=f"{podman.registry}/tests/private:latest")
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "keeper"}))

    with serving(registry, int(podman.registry.rpartition(":")[2])):
        async with connected(podman) as engine, images_of(engine, tmp_path) as images:
            with pytest.raises(BadInput, match="no program docker-credential-keeper on PATH; install it, or take"):
                await images.of(wanted)
            (tmp_path / "docker-credential-keeper").write_text(KEEPER)
            (tmp_path / "docker-credential-keeper").chmod(0o755)

            assert await images.of(wanted)
            await images.collect(set(), NOTHING)


async def test_image_behind_a_login_is_pulled_with_a_secret_of_the_functions(
    podman: PodmanServer, tmp_path: Path
) -> None:
    registry = Registry(user="me", password="hunter2")
    registry.add("tests/private", "private")
    auth = base64.b64encode(b"me:hunter2").decode()
    secrets = StateFiles(tmp_path).secrets("openfaas-fn")
    secrets.mkdir(parents=True)
    (secrets / "registry").write_text(json.dumps({"auths": {podman.registry: {"auth": auth}}}))

    with serving(registry, int(podman.registry.rpartition(":")[2])):
        async with connected(podman) as engine, images_of(engine, tmp_path) as images:
            assert await images.of(spec(image=f"{podman.registry}/tests/private:latest", secrets=("registry",)))
            await images.collect(set(), NOTHING)
