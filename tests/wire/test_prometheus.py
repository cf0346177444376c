from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx
import pytest

from springtide.runtime.errors import Unavailable
from springtide.wire.prometheus import PrometheusClient, VectorSample, quoted

T = TypeVar("T")


def ask(data: object, question: Callable[[PrometheusClient], Awaitable[T]], *, asked: list[str] | None = None) -> T:
    """The answer to a question when Prometheus has this to say to it."""

    async def main() -> T:
        def answer(request: httpx.Request) -> httpx.Response:
            (asked if asked is not None else []).append(str(request.url))
            return httpx.Response(200, content=json.dumps({"status": "success", "data": data}))

        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
            return await question(PrometheusClient(http, "http://prom:9090/", deadline_s=1.0))

    return asyncio.run(main())


def test_vector_has_labels_value_and_time_of_each_series() -> None:
    result = [{"metric": {"job": "a"}, "value": [100.5, "3"]}, {"metric": {}, "value": [100.5, "+Inf"]}]
    asked: list[str] = []

    samples = ask({"result": result}, lambda client: client.vector("up", at=100.5), asked=asked)

    assert samples == [VectorSample({"job": "a"}, 3.0, 100.5), VectorSample({}, float("inf"), 100.5)]
    assert asked == ["http://prom:9090/api/v1/query?query=up&time=100.500"]


def test_range_is_that_of_the_first_series() -> None:
    result = [{"metric": {}, "values": [[10, "1"], [20, "2"]]}, {"metric": {}, "values": [[10, "7"]]}]
    asked: list[str] = []

    values = ask(
        {"result": result}, lambda client: client.first_of_range("up", start=10, end=20, step_s=10), asked=asked
    )

    assert values == {10: 1.0, 20: 2.0}
    assert asked == ["http://prom:9090/api/v1/query_range?query=up&start=10&end=20&step=10"]


def test_range_without_a_series_is_empty() -> None:
    assert ask({"result": []}, lambda client: client.first_of_range("up", start=10, end=20, step_s=10)) == {}


@pytest.mark.parametrize("data", [None, [], {"result": 7}, {"result": [{"values": [[1]]}]}])
def test_range_that_makes_no_sense_is_told(data: object) -> None:
    with pytest.raises(Unavailable, match="makes no sense"):
        ask(data, lambda client: client.first_of_range("up", start=10, end=20, step_s=10))


def test_quoted_text_cannot_leave_its_string() -> None:
    assert quoted('a"} or {b="\\\n') == '"a\\"} or {b=\\"\\\\\\n"'
