"""``/metrics`` of all workers as one: asked anew at each scrape, and refused when one of them does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from urllib.parse import parse_qs

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from gateway.metrics import GatewayCollector
from gateway.workers.totals import Merged
from runtime.basic_auth import App, Receive, Scope, Send
from runtime.errors import Unavailable
from runtime.exposition import exposition, respond
from scaler.core import catalogue


class MergedCollector(Collector):
    """What one process's collectors show, from the numbers of all."""

    def __init__(self) -> None:
        self.merged: Merged | None = None
        self._calls = GatewayCollector(lambda: self.merged)

    def describe(self) -> Iterable[Metric]:
        return [*self._calls.describe(), _decisions(self.merged)]

    def collect(self) -> Iterator[Metric]:
        yield from self._calls.collect()
        yield _decisions(self.merged)


def merged_exposition(
    registry: CollectorRegistry, ask: Callable[[], Awaitable[Merged]], obstacle: Callable[[], str | None]
) -> App:
    """``ask`` raises Unavailable when a worker does not answer: then a scrape fails, for a part is not the whole.

    ``obstacle`` as in ``runtime.exposition.exposition``.
    """
    collector = MergedCollector()
    registry.register(collector)
    rest = exposition(registry, obstacle=obstacle)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != "/metrics" or scope["method"] not in ("GET", "HEAD"):
            await rest(scope, receive, send)
            return
        try:
            collector.merged = await ask()
        except Unavailable as error:
            await respond(send, 503, str(error).encode())
            return
        encode, content_type = choose_encoder(_accepted(scope))
        names = parse_qs(scope["query_string"].decode("latin-1")).get("name[]")
        wanted = registry.restricted_registry(names) if names else registry
        # Of thousands of functions it takes seconds, in which workers may die and want to be replaced.
        text = await asyncio.to_thread(encode, wanted)
        await respond(send, 200, text, content_type=content_type.encode())

    return app


def _accepted(scope: Scope) -> str:
    return ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"accept")


def _decisions(merged: Merged | None) -> Metric:
    metric = catalogue.DECISIONS
    family = CounterMetricFamily(metric.name.removesuffix("_total"), metric.help, labels=metric.labels)
    for labels, count in sorted(merged.decisions.items()) if merged is not None else ():
        family.add_metric(labels, count)
    return family
