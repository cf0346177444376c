"""What a function that does not come up is told as, from a caller's 503 to ``describe``."""

from __future__ import annotations

import sys

import pytest

from springtide.provider.kubernetes import KubernetesProviderSettings, ManifestSettings
from tests.kubernetes.emulator import EmulatorSettings, Image
from tests.kubernetes.provider_stage import ECHO, eventually, on_cluster, spec

pytestmark = pytest.mark.usefixtures("pod_network")

ALWAYS = """
import http.server, os, signal, sys

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(int(sys.argv[1]))

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
http.server.HTTPServer((os.environ.get("HOST", ""), int(os.environ["PORT"])), Answer).serve_forever()
"""
SICK = {name: Image(command=(sys.executable, "-c", ALWAYS, name[1:])) for name in ("a503", "a404", "a401")}

LONG_ASKED = KubernetesProviderSettings(function_linger_s=0.0, ready_ask_most_s=600.0)
"""Its pods are processes, which on a busy machine take long to begin."""


@pytest.mark.parametrize(
    ("image", "told"),
    [
        ("a503", "it answers /_/ready with 503"),
        ("a401", "it answers /_/ready with 401"),
        ("a404", "it answers /_/health with 404; one that is asked at another path names it in the annotation "),
    ],
)
async def test_function_whose_health_refuses_says_so(image: str, told: str) -> None:
    patient = ManifestSettings(liveness_delay_s=600.0)
    async with on_cluster(images=SICK, provider=LONG_ASKED, manifests=patient) as on:
        await on.provider.deploy(spec(image=image))

        function = await on.table_when(lambda function: (function.delay or "").startswith(told))
        status = await on.provider.status(ECHO)

        assert function.problem is None
        assert status.problem == function.delay


async def test_function_that_the_kubelet_stops_again_and_again_is_told_as_that() -> None:
    hasty = ManifestSettings(liveness_delay_s=0.0, liveness_period_s=1.0)
    cluster = EmulatorSettings(default_image=Image(), restart_first_s=30.0)
    async with on_cluster(cluster=cluster, images=SICK, manifests=hasty) as on:
        await on.provider.deploy(spec(image="a503"))

        status = await eventually(lambda: on.provider.status(ECHO), lambda status: "liveness" in (status.problem or ""))

        assert status.problem is not None
        assert "its container was stopped because its liveness probe failed" in status.problem
        assert "exited with 0" not in status.problem


async def test_pod_that_no_node_takes_ends_the_wait_when_that_lasts() -> None:
    settings = KubernetesProviderSettings(function_linger_s=0.0, unschedulable_most_s=1.0)
    async with on_cluster(provider=settings) as on:
        await on.provider.deploy(spec(constraints=("zone=nowhere",)))

        function = await on.table_when(lambda function: bool(function.problem))

        assert function.problem is not None
        assert "no node takes it" in function.problem
