from __future__ import annotations

from prometheus_client import CollectorRegistry

from tests.provider.api.served import Served

REQUESTS, SECONDS = "provider_http_requests_total", "provider_http_request_duration_seconds_count"


def counted(registry: CollectorRegistry, code: int, method: str, path: str) -> float:
    labels = {"code": str(code), "method": method, "path": path}
    count = registry.get_sample_value(REQUESTS, labels) or 0.0
    assert count == (registry.get_sample_value(SECONDS, labels) or 0.0)
    return count


def paths(registry: CollectorRegistry) -> set[str]:
    return {
        sample.labels["path"] for family in registry.collect() for sample in family.samples if sample.name == REQUESTS
    }


async def test_requests_are_counted_by_code_method_and_route(served: Served) -> None:
    await served.deploy()
    await served.http.get("/system/function/echo")
    await served.http.get("/system/function/ghost")
    await served.http.get("/system/functions", auth=("x", "y"))
    await served.http.get("/system/scaling/decisions")

    assert counted(served.registry, 202, "POST", "/system/functions") == 1
    assert counted(served.registry, 200, "GET", "/system/function") == 1
    assert counted(served.registry, 404, "GET", "/system/function") == 1
    assert counted(served.registry, 401, "GET", "/system/functions") == 1
    assert counted(served.registry, 200, "GET", "/system/scaling/decisions") == 1


async def test_stream_is_counted_while_it_goes_on(served: Served) -> None:
    async with served.http.stream("GET", "/system/endpoints?watch=true") as answer:
        told = answer.aiter_lines()  # kept: without it the answer is closed
        await anext(told)

        assert counted(served.registry, 200, "GET", "/system/endpoints") == 1


async def test_nobody_can_multiply_the_labels(served: Served) -> None:
    for number in range(20):
        await served.http.get(f"/system/function/f{number}")
        await served.http.get(f"/unknown{number}")
        await served.http.get(f"/system/namespace/{number}/{number}")
    for verb in ("PROPFIND", "MKCOL", "LOCK"):
        await served.http.request(verb, "/x")

    assert paths(served.registry) == {"/system/function", "other"}
    assert counted(served.registry, 404, "other", "other") == 3


async def test_invocations_are_not_counted(served: Served) -> None:
    await served.http.get("/function/ghost")

    assert paths(served.registry) == set()
