"""The client against a real engine."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from pathlib import Path

import pytest

from springtide.provider.containers.engine.client import Engine
from springtide.runtime.errors import BadInput, NotFound, Unavailable
from tests.container_engine import IMAGE, PodmanServer, load_function_image
from tests.provider.containers.conftest import connected

LABEL = "com.springtide.test=client"
OWN = {"com.springtide.test": "client"}
PYTHON = "/usr/bin/python3"
PATIENCE_S = 120.0


def settings(program: str) -> dict[str, object]:
    return {
        "Image": f"{IMAGE}:latest",
        "Entrypoint": [PYTHON, "-u", "-c", program],
        "Labels": OWN,
        "HostConfig": {"NetworkMode": "none"},
    }


TALK = """
import signal, sys, time

signal.signal(15, lambda *_: sys.exit(3))
sys.stdout.write("hello\\n")
while True:
    time.sleep(0.05)
"""


async def test_engine_says_who_it_is(podman: PodmanServer) -> None:
    engine = Engine(podman.socket)
    info = await engine.connect()
    await engine.aclose()

    assert info.name == "podman"
    assert info.version
    assert not info.rootless


async def test_container_lives_from_its_creation_to_its_removal(podman: PodmanServer) -> None:
    async with connected(podman) as engine, asyncio.timeout(PATIENCE_S):
        await load_function_image(engine)
        made = await engine.create("springtide-client-1", settings(TALK))
        assert [(one.name, one.state) for one in await engine.containers(LABEL)] == [("springtide-client-1", "created")]

        async with aclosing(engine.events(LABEL, since=time.time())) as events:
            following = asyncio.create_task(anext(events))
            await engine.start(made)
            assert (await following).id == made
        running = await engine.inspect(made)
        assert (running.running, running.paused) == (True, False)
        assert Path(f"/proc/{running.pid}").exists()
        async with aclosing(engine.output(made, since=0)) as output:
            assert await anext(output) == b"hello\n"

        await engine.pause(made)
        assert (await engine.inspect(made)).paused
        await engine.unpause(made)
        await engine.stop(made, grace_s=30)
        ended = await engine.inspect(made)
        assert (ended.running, ended.exit_code, ended.out_of_memory) == (False, 3, False)

        await engine.rename(made, "springtide-client-2")
        await engine.start(made)
        assert [one.state for one in await engine.containers(LABEL)] == ["running"]
        await engine.remove(made)
        await engine.remove(made)
        assert await engine.containers(LABEL) == []
        with pytest.raises(NotFound):
            await engine.inspect(made)


async def test_networks_are_found_by_their_label(podman: PodmanServer) -> None:
    async with connected(podman) as engine:
        await engine.create_network("springtide-client", OWN)
        assert list(await engine.networks(LABEL)) == ["springtide-client"]

        await engine.remove_network("springtide-client")
        await engine.remove_network("springtide-client")

        assert list(await engine.networks(LABEL)) == []


async def test_image_that_is_not_here_and_cannot_be_had_is_bad_input_with_what_the_registry_said(
    podman: PodmanServer,
) -> None:
    async with connected(podman) as engine:
        assert await engine.image("127.0.0.1:1/nothing:1") is None
        with pytest.raises(BadInput, match=r"image 127\.0\.0\.1:1/nothing:1 cannot be pulled: .*refused"):
            await engine.pull("127.0.0.1:1/nothing:1", login="", tell=lambda _: None)
        with pytest.raises(NotFound):
            await engine.create("springtide-client-3", settings(TALK) | {"Image": "127.0.0.1:1/nothing:1"})


async def test_engine_that_is_not_there_is_unavailable_with_the_remedy(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "none.sock")
    with pytest.raises(Unavailable, match="DOCKER_HOST"):
        await engine.connect()
    await engine.aclose()
