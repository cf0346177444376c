"""A gateway under measurement: its own process, in front of a provider in another."""

from __future__ import annotations

import contextlib
import json
import math
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.children import Child, child, free_port, python

READY_DEADLINE_S = 20.0


@dataclass(frozen=True, slots=True)
class Measured:
    process: Child
    port: int
    provider_port: int
    metrics_port: int

    def scale(self, replicas: int) -> None:
        """Ask the provider, as a person would."""
        body = json.dumps({"serviceName": "echo", "replicas": replicas}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.provider_port}/system/scale-function/echo", data=body, method="POST"
        )
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310 - our own provider

    def metric(self, name: str) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as response:
            lines = response.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))

    def until_ready(self, replicas: int) -> None:
        self._until("gateway_service_ready_count", replicas)

    def until_asleep(self) -> None:
        self._until("gateway_service_ready_count", 0)
        self._until("gateway_service_count", 0)

    def until_held(self, callers: int) -> None:
        self._until("gateway_function_held", callers)

    def _until(self, metric: str, wanted: float) -> None:
        deadline = time.monotonic() + READY_DEADLINE_S
        while (value := self._metric_if_told(metric)) != wanted:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{metric} stayed {value:g} and did not become {wanted:g}")
            time.sleep(0.02)

    def _metric_if_told(self, name: str) -> float:
        """Not a number while the gateway does not know: its workers are still starting."""
        try:
            return self.metric(name)
        except urllib.error.HTTPError as error:
            if error.code != 503:
                raise
            return math.nan

    def wakes(self) -> int:
        """How often the function was woken since the provider started."""
        url = f"http://127.0.0.1:{self.provider_port}/system/scaling/decisions"
        with urllib.request.urlopen(url, timeout=10) as response:
            decisions = [json.loads(line) for line in response.read().splitlines() if line]
        return sum(1 for decision in decisions if decision["writer"] == "wake")


@contextlib.contextmanager
def gateway(
    folder: Path,
    replica_port: int,
    *,
    ready_after_s: float = 0.0,
    more: int = 0,
    tree: Path | None = None,
    **settings: Any,
) -> Iterator[Measured]:
    """Before ``more`` functions beside ``echo``. ``tree``: another checkout, whose gateway it is; the provider is ours
    in any case."""
    folder.mkdir()
    provider_port, port, metrics_port = free_port(), free_port(), free_port()
    provider = python("bench.provider_child", str(provider_port), str(replica_port), str(ready_after_s), str(more))
    given = {
        "port": port,
        "metrics_port": metrics_port,
        "provider_url": f"http://127.0.0.1:{provider_port}",
        "grace_s": 0.2,
        **settings,
    }
    with (
        child("provider", provider, port=provider_port, log=folder / "provider.log"),
        child(
            "gateway",
            python("bench.gateway_child", json.dumps(given), tree=tree),
            port=port,
            log=folder / "gateway.log",
            cwd=tree,
        ) as process,
    ):
        measured = Measured(process, port, provider_port, metrics_port)
        measured.until_ready(1 + more)
        yield measured
