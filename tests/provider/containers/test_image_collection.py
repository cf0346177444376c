"""Images that the suite pulled go again, on a real engine; whatever is somebody else's stays."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import tarfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from springtide.provider.containers import container_labels, handler_images, image_archive
from springtide.provider.containers.credential_helpers import CredentialHelpers
from springtide.provider.containers.engine.client import Engine
from springtide.provider.containers.image_use import NOTHING, KeepRule
from springtide.provider.containers.images import Images
from springtide.provider.containers.settings import ContainerSettings
from springtide.provider.machine.state_files import StateFiles
from springtide.runtime.errors import BadInput
from springtide.scaler.core.ports import Clock
from tests.container_engine import PodmanServer
from tests.image_registry import Registry, serving
from tests.provider.containers.conftest import connected
from tests.provider.contract.acts import spec

KEEPER = """#!/bin/sh
echo '{"Username": "me", "Secret": "hunter2"}'
"""


class HandClock:
    now = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self.at = time.time()

    def wall(self) -> float:
        return self.at


async def archived(name: str, runs: Mapping[str, object]) -> AsyncIterator[bytes]:
    """An image with one empty file, whose name is its own."""
    layer, archive = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(name.replace("/", "-")))
    image_archive.write(archive, name, [image_archive.layer_of(layer)], runs)
    yield archive.getvalue()


@asynccontextmanager
async def images_of(
    engine: Engine, folder: Path, *, policy: str = "IfNotPresent", clock: Clock | None = None
) -> AsyncIterator[Images]:
    folder.mkdir(exist_ok=True)
    helpers = CredentialHelpers(folder, {"PATH": str(folder)})
    settings = ContainerSettings(image_pull_policy=policy)
    images = Images(engine, StateFiles(folder), settings, helpers, suite="tests", clock=clock or HandClock())
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


async def test_image_that_somebody_renamed_stays(podman: PodmanServer, tmp_path: Path) -> None:
    registry = Registry()
    registry.add("tests/renamed", "renamed")
    image = f"{podman.registry}/tests/renamed:latest"

    with serving(registry, int(podman.registry.rpartition(":")[2])):
        async with connected(podman) as engine, images_of(engine, tmp_path) as images:
            pulled = await images.of(spec(image=image))
            podman.run("tag", image, "mine/renamed:1")
            podman.run("untag", image, image)

            assert await images.collect(set(), NOTHING) == []
            assert await engine.image("localhost/mine/renamed:1") is not None
            assert await engine.remove_image(pulled.id)


async def test_image_that_somebody_made_of_one_of_ours_stays(podman: PodmanServer, tmp_path: Path) -> None:
    """It has our label: those of an image are also of what is built of it, or committed."""
    ours, runs = f"{handler_images.name_of('tests')}:1", {"Labels": {container_labels.IMAGE_SUITE: "tests"}}
    async with connected(podman) as engine, images_of(engine, tmp_path) as images:
        for name in (ours, "localhost/mine/based-on-it:1"):
            await engine.load(archived(name, runs))

        gone = await images.collect(set(), NOTHING)

        assert len(gone) == 1
        assert await engine.image(ours) is None
        theirs = await engine.image("localhost/mine/based-on-it:1")
        assert theirs is not None
        assert await engine.remove_image(theirs.id)


async def test_image_that_is_asked_for_while_others_are_removed_stays(
    podman: PodmanServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is due was chosen before; a deployment that finds the image must not lose it."""
    registry, names = Registry(), [f"many-{number}" for number in range(8)]
    for name in names:
        registry.add(f"tests/{name}", name)
    old, clock = KeepRule(age_s=60.0, most_bytes=None), HandClock()

    with serving(registry, int(podman.registry.rpartition(":")[2])):
        async with connected(podman) as engine, images_of(engine, tmp_path, clock=clock) as images:
            wanted = [spec(image=f"{podman.registry}/tests/{name}:latest") for name in names]
            for one in wanted:
                await images.of(one)
                clock.at += 3600.0
            begun, remove = asyncio.Event(), engine.remove_image

            async def removing(image: str) -> bool:
                begun.set()
                return await remove(image)

            monkeypatch.setattr(engine, "remove_image", removing)
            collecting = asyncio.create_task(images.collect(set(), old))
            await asyncio.wait_for(begun.wait(), 120)
            found = await images.of(wanted[-1])

            assert found.id not in await collecting
            assert await engine.image(found.id) is not None
            await images.collect(set(), NOTHING)


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
