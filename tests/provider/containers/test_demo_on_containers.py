"""The whole suite with its functions as containers of a real engine."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from springtide.cli.state import StateFolder
from springtide.provider.containers import container_labels
from tests.container_engine import PodmanServer
from tests.demo_story import DEMO_S, check_whole_story
from tests.e2e.conftest import eventually, running


@pytest.mark.usefixtures("tools")
def test_demo_tells_the_whole_story_with_containers(podman: PodmanServer, tmp_path: Path) -> None:
    options = ("--fast", "--provider", "containers", "--down", "--prometheus-port", "0", "--alertmanager-port", "0")
    with running(tmp_path / "state", *options, DOCKER_HOST=f"unix://{podman.socket}") as suite:
        answer = httpx.post(f"{suite.gateway}/function/hello", content="containers", timeout=120)
        assert answer.text == "Hello, containers!\n"
        eventually(lambda: "hello" in podman.run("ps", "--all"), "the sample is a container")
        result = suite.springtide("demo", "--json", timeout_s=DEMO_S)

    check_whole_story(result)
    suite_name = container_labels.suite_of(StateFolder(tmp_path / "state").containers)
    left = [podman.run(*words) for words in (("ps", "--all"), ("network", "ls"), ("images",))]
    assert all(f"springtide-{suite_name[:6]}" not in text for text in left)
