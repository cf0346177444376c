"""Logs of a function when not every pod's node answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from springtide.provider.kubernetes.logs import PodLogs
from springtide.provider.kubernetes.views import PodView, pod_view
from springtide.provider.ports import LogQuery
from springtide.runtime.errors import Unavailable
from springtide.runtime.kubernetes.api import connected
from springtide.runtime.kubernetes.settings import KubernetesSettings
from springtide.scaler.core.vocabulary import FunctionRef
from tests.provider.kubernetes.cluster_objects import pod
from tests.runtime.kubernetes.api_server import ApiServer

ECHO = FunctionRef("openfaas-fn", "echo")


class TwoPods:
    """A function that stays as it is."""

    def pods(self, ref: FunctionRef) -> Mapping[str, PodView]:
        return {name: pod_view(pod(name)) for name in ("a", "b") if ref == ECHO}

    def function(self, ref: FunctionRef) -> object | None:
        return ref

    async def changed(self, ref: FunctionRef) -> None:  # noqa: ARG002 - as the others have it
        await asyncio.Event().wait()


def read(folder: Path, logs: Mapping[str, list[bytes]]) -> list[str]:
    """The lines told, where only pods that have an entry in ``logs`` can be read."""

    async def story() -> list[str]:
        async with ApiServer() as server, asyncio.timeout(60):
            server.logs = dict(logs)
            settings = KubernetesSettings(kubeconfig=server.kubeconfig(folder))
            async with connected(settings) as api:
                told = PodLogs(api, TwoPods(), most_pods=10)
                return [f"{line.instance} {line.text}" async for line in told.lines(LogQuery(ECHO))]

    return asyncio.run(story())


def test_pod_whose_node_does_not_answer_hides_no_other_pods_lines(tmp_path: Path) -> None:
    logs = {"b": [b"2026-01-31T12:00:00.123456789Z hel", b"lo\n2026-01-31T12:00:01Z world\n"]}

    assert read(tmp_path, logs) == ["b hello", "b world"]


def test_logs_that_no_node_gives_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        read(tmp_path, {})
