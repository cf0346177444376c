"""``/metrics`` of all workers as one: asked anew at each scrape, and refused when one of them does not answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from springtide.gateway.metrics import GatewayCollector
from springtide.gateway.workers.totals import Merged
from springtide.runtime.asgi import App, Receive, Scope, Send, respond
from springtide.runtime.errors import Unavailable
from springtide.runtime.exposition import exposition, selected_metrics, send_metrics
from springtide.scaler.core import catalogue
from springtide.wire import vitals


class MergedCollector(Collector):
    """What one process's collectors show, from the numbers of all."""

    def __init__(self) -> None:
        self.merged: Merged | None = None
        self._calls = GatewayCollector(lambda: self.merged)

    def describe(self) -> Iterable[Metric]:
        return [*self._calls.describe(), _decisions(self.merged), vitals.loop_lags({})]

    def collect(self) -> Iterator[Metric]:
        yield from self._calls.collect()
        yield _decisions(self.merged)
        yield vitals.loop_lags(self.merged.loop_lags if self.merged is not None else {})


def merged_exposition(
    registry: CollectorRegistry, ask: Callable[[], Awaitable[Merged]], unready_reason: Callable[[], str | None]
) -> App:
    """``ask`` raises Unavailable when a worker does not answer: then a scrape fails, for a part is not the whole.

    ``unready_reason`` as in ``runtime.exposition.exposition``.
    """
    collector = MergedCollector()
    registry.register(collector)
    rest = exposition(registry, unready_reason=unready_reason)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != "/metrics" or scope["method"] not in ("GET", "HEAD"):
            await rest(scope, receive, send)
            return
        try:
            collector.merged = await ask()
        except Unavailable as error:
            await respond(send, 503, str(error).encode())
            return
        await send_metrics(scope, send, selected_metrics(scope, registry))

    return app


def _decisions(merged: Merged | None) -> Metric:
    metric = catalogue.DECISIONS
    family = CounterMetricFamily(metric.name.removesuffix("_total"), metric.help, labels=metric.labels)
    for labels, count in sorted(merged.decisions.items()) if merged is not None else ():
        family.add_metric(labels, count)
    return family
