from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from springtide.provider.kubernetes import pod_load, scaling
from springtide.provider.kubernetes.views import pod_view
from tests.provider.kubernetes.cluster_objects import pod

LATER = "2026-01-31T13:00:00Z"


@pytest.mark.parametrize(
    ("pods", "calls", "keep", "going"),
    [
        pytest.param([pod("a"), pod("b")], {"a": 0, "b": 0}, 2, [], id="none when all stay"),
        pytest.param([pod("a"), pod("b", ready=False)], {"a": 0}, 1, ["b"], id="the one that is not ready first"),
        pytest.param([pod("a"), pod("b"), pod("c")], {"a": 3, "b": 0, "c": 1}, 1, ["b", "c"], id="the least busy"),
        pytest.param([pod("a"), pod("b")], {"b": 7}, 1, ["b"], id="of unknown load the last"),
        pytest.param([pod("a", created=LATER), pod("b")], {"a": 0, "b": 0}, 1, ["a"], id="the newest of equals"),
        pytest.param([pod("a", cost="-1000"), pod("b")], {"a": 5, "b": 0}, 1, ["a"], id="the one marked before"),
        pytest.param([pod("a"), pod("b", deleting=True)], {"a": 0}, 1, [], id="none where one goes already"),
        pytest.param([pod("a"), pod("b")], {}, 0, ["a", "b"], id="all of them"),
    ],
)
def test_pods_to_go_are(pods: list[dict[str, Any]], calls: Mapping[str, float], keep: int, going: list[str]) -> None:
    assert [each.name for each in scaling.pods_to_remove(map(pod_view, pods), keep, calls)] == going


Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answering(body: bytes) -> Answering:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)
        await writer.drain()
        writer.close()

    return answer


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


@pytest.mark.parametrize(
    ("own", "metrics", "calls"),
    [
        pytest.param(answering(b'{"inflight": 4}'), silent, {"a": 4.0}, id="our watchdog"),
        pytest.param(
            answering(b"OK"),
            answering(b"# TYPE http_requests_in_flight gauge\nhttp_requests_in_flight 2\n"),
            {"a": 2.0},
            id="of-watchdog",
        ),
        pytest.param(silent, silent, {}, id="nobody"),
        pytest.param(answering(b"OK"), answering(b"other_metric 3\n"), {}, id="one that does not count"),
    ],
)
async def test_calls_in_flight_are_told_by(
    own: Answering, metrics: Answering, calls: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = [await asyncio.start_server(serve, "127.0.0.1", 0) for serve in (own, metrics)]
    async with first, second:
        monkeypatch.setattr(pod_load, "PORT", first.sockets[0].getsockname()[1])
        monkeypatch.setattr(pod_load, "METRICS_PORT", second.sockets[0].getsockname()[1])
        views = [pod_view(pod("a", ip="127.0.0.1")), pod_view(pod("b", ip="127.0.0.1", ready=False))]

        assert await pod_load.calls_in_flight(views) == calls
