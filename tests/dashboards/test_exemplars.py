"""The boards' exemplars, asked of a Prometheus with the arguments of ``up`` that scrapes buckets with trace ids."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client import CollectorRegistry, Histogram, start_http_server

from springtide.dashboards.committed import committed
from springtide.rules import prometheus_arguments
from springtide.rules.promql import names_in
from springtide.scaler.core import catalogue
from springtide.scaler.core.catalogue import Metric
from tests.fakes.grafana import Grafana, Query, queries_of, substituted

DEADLINE_S = 120.0
TRACES = {catalogue.SECONDS: "a" * 32, catalogue.COLD_START: "b" * 32, catalogue.COLD_START_PART: "c" * 32}
LABELS = {"function_name": "web.openfaas-fn", "code": "200", "part": "ready"}
CHOSEN = {"function": "web.openfaas-fn", "namespace": "[^.]+"}
ASKING = [query for text in committed().values() for query in queries_of(json.loads(text)) if query.exemplar]


@contextmanager
def traced_durations() -> Iterator[str]:
    """Where one call of each kind can be scraped, as the gateway shows it."""
    registry = CollectorRegistry()
    for metric, trace in TRACES.items():
        histogram = Histogram(metric.name, metric.help, metric.labels, registry=registry, buckets=metric.buckets)
        labels = {name: LABELS[name] for name in metric.labels}
        histogram.labels(**labels).observe(0.3, exemplar={"trace_id": trace})
    server, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def scraped(prometheus_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus that has scraped it."""
    folder = tmp_path_factory.mktemp("prometheus")
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        listen = f"127.0.0.1:{free.getsockname()[1]}"
    with traced_durations() as target:
        job = {"job_name": "gateway", "static_configs": [{"targets": [target]}]}
        timing = {"scrape_interval": "200ms", "scrape_timeout": "200ms"}
        (folder / "prometheus.yml").write_text(yaml.safe_dump({"global": timing, "scrape_configs": [job]}))
        (folder / "web.yml").touch()
        arguments = prometheus_arguments(folder, folder / "data", listen)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([prometheus_binary, *arguments], stderr=log)
        try:
            eventually_scraped(f"http://{listen}")
            yield f"http://{listen}"
        finally:
            process.kill()
            process.wait()


def eventually_scraped(prometheus: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    query = {"query": f"{catalogue.SECONDS.name}_count == 1"}
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{prometheus}/api/v1/query", params=query, timeout=5).json()["data"]["result"]:
                return
        except (httpx.HTTPError, ValueError, KeyError):
            pass  # it is starting
        time.sleep(0.05)
    raise AssertionError("Prometheus has scraped nothing")


@pytest.mark.parametrize("query", [pytest.param(query, id=str(query)) for query in ASKING])
def test_query_of_durations_finds_the_trace_of_the_call_it_counts(query: Query, scraped: str) -> None:
    grafana = Grafana(scraped, time.time() - 600, time.time() + 60)

    found = grafana.exemplars(query, CHOSEN)

    assert found == [{"trace_id": TRACES[measured(query)]}]


def measured(query: Query) -> Metric:
    selectors = names_in(substituted(query.expr, CHOSEN | {"__rate_interval": "1m"})).selectors
    [series] = {selector.series for selector in selectors}
    [metric] = (metric for metric in TRACES if series in metric.series)
    return metric
