"""``http_requests_total`` and its durations: the system API as OpenFaaS's gateway counted it, with bounded labels."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from springtide.gateway.request_counts import OTHER, CountedRequests, RequestCounts
from springtide.runtime import virtual_time
from springtide.runtime.asgi import Receive, Scope, Send
from springtide.runtime.virtual_time import VirtualTimeLoop
from tests.gateway.test_system_api import whole

REQUESTS, SECONDS = "http_requests_total", "http_request_duration_seconds_count"


def counted(registry: CollectorRegistry, status: int, method: str, path: str) -> float:
    labels = {"status": str(status), "code": str(status), "method": method, "path": path}
    count = registry.get_sample_value(REQUESTS, labels) or 0.0
    assert count == (registry.get_sample_value(SECONDS, labels) or 0.0)
    return count


@pytest.mark.uvloop
async def test_requests_of_the_system_api_are_counted_by_method_route_and_status() -> None:
    async with whole() as suite:
        await suite.deploy()
        for path in ("functions", "function/echo", "function/ghost", "nonsense/" + "x" * 100):
            await suite.http.get(f"/system/{path}")
        await suite.http.get("/system/functions", auth=("x", "y"))
        await suite.http.get("/function/echo")
        await suite.http.request("PROPFIND", "/system/functions")
        registry = suite.gateway._deps.registry

        assert counted(registry, 202, "POST", "/system/functions") == 1
        assert counted(registry, 200, "GET", "/system/functions") == 1
        assert counted(registry, 401, "GET", "/system/functions") == 1
        assert counted(registry, 200, "GET", "/system/function") == 1
        assert counted(registry, 404, "GET", "/system/function") == 1
        assert counted(registry, 405, OTHER, "/system/functions") == 1
        shown = {
            sample.labels["path"]
            for family in registry.collect()
            for sample in family.samples
            if sample.name == REQUESTS
        }
        assert shown == {"/system/functions", "/system/function", OTHER}


@pytest.mark.parametrize(
    ("path", "label"),
    [
        pytest.param("/system/functions", "/system/functions", id="a route"),
        pytest.param("/system/functions/", "/system/functions", id="with a slash"),
        pytest.param("/system/function/echo", "/system/function", id="a name"),
        pytest.param("/system/function/echo/versions", "/system/function", id="below a name"),
        pytest.param("/ui/a/b/c/d/e/f", "/ui", id="deep below"),
        pytest.param("/", "/", id="the root"),
        pytest.param("", OTHER, id="nothing"),
        pytest.param("/a" * 30_000, OTHER, id="nonsense"),
    ],
)
def test_label_is_the_route_or_other(path: str, label: str) -> None:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 799, "headers": []})

    async def story() -> None:
        paths = ["/", "/ui/{path:path}", "/system/functions", "/system/function/{name}/versions"]
        app = CountedRequests(answer, counts, paths=paths, clock=loop.clock)
        await app({"type": "http", "method": "GET", "path": path}, None, _ignored)  # type: ignore[arg-type]

    counts, loop = RequestCounts(), VirtualTimeLoop()
    virtual_time.run(story(), loop)

    assert [labels for labels, _ in counts] == [("GET", label, "7xx")]


async def _ignored(_: object) -> None:
    pass


def test_counts_of_several_processes_add_up() -> None:
    one, other = RequestCounts(), RequestCounts()
    one.observe("GET", "/ui", 200, 0.5)
    other.observe("GET", "/ui", 200, 1.5)
    other.observe("PUT", "/ui", 404, 0.1)

    one.add(other.as_numbers())

    assert [(labels, histogram.count, histogram.sum) for labels, histogram in one] == [
        (("GET", "/ui", "200"), 2, 2.0),
        (("PUT", "/ui", "404"), 1, 0.1),
    ]
