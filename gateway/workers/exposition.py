"""``/metrics`` of all workers as one: asked anew at each scrape, and refused when one of them does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from springtide.gateway.metrics import GatewayCollector
from springtide.gateway.workers.totals import MAX_KEPT_FUNCTIONS, Merged, Table
from springtide.runtime.asgi import App, Receive, Scope, Send, respond
from springtide.runtime.errors import Unavailable
from springtide.runtime.exposition import exposition, selected_metrics, send_metrics
from springtide.runtime.exposition_text import ExpositionText
from springtide.scaler.core import catalogue
from springtide.wire import vitals


class MergedCollector(Collector):
    """What one process's collectors show, from the numbers of all. It keeps what it made of sums that are kept."""

    def __init__(self) -> None:
        self.merged: Merged | None = None
        self._calls = GatewayCollector(lambda: self.merged)
        self._kept: tuple[Table, list[Metric]] | None = None

    def describe(self) -> Iterable[Metric]:
        return [*self._calls.describe(), _decisions(self.merged), vitals.loop_lags({})]

    def collect(self) -> Iterator[Metric]:
        yield from self._sums()
        yield vitals.loop_lags(self.merged.loop_lags if self.merged is not None else {})

    def _sums(self) -> Iterable[Metric]:
        merged, kept = self.merged, self._kept
        if merged is not None and kept is not None and kept[0] is merged.table:
            return kept[1]
        families = [*self._calls.collect(), _decisions(merged)]
        self._kept = (merged.table, families) if merged is not None and _few(merged) else None
        return families


def _few(merged: Merged) -> bool:
    return len(merged.table.functions) <= MAX_KEPT_FUNCTIONS


def merged_exposition(
    registry: CollectorRegistry,
    ask: Callable[[], Awaitable[Merged]],
    unready_reason: Callable[[], str | None],
    inner: App | None = None,
) -> App:
    """``ask`` raises Unavailable when a worker does not answer: then a scrape fails, for a part is not the whole.

    ``unready_reason`` and ``inner`` as in ``runtime.exposition.exposition``.
    """
    collector = MergedCollector()
    registry.register(collector)
    rest = exposition(registry, inner, unready_reason=unready_reason)
    texts = ExpositionText()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != "/metrics" or scope["method"] not in ("GET", "HEAD"):
            await rest(scope, receive, send)
            return
        try:
            collector.merged = merged = await ask()
        except Unavailable as error:
            await respond(send, 503, str(error).encode())
            return
        selected = selected_metrics(scope, registry)
        # In a thread, for those of thousands of functions take seconds.
        families = list(selected.collect()) if _few(merged) else await asyncio.to_thread(list, selected.collect())
        await send_metrics(scope, send, families, texts)

    return app


def _decisions(merged: Merged | None) -> Metric:
    metric = catalogue.DECISIONS
    family = CounterMetricFamily(metric.name.removesuffix("_total"), metric.help, labels=metric.labels)
    for labels, count in sorted(merged.decisions.items()) if merged is not None else ():
        family.add_metric(labels, count)
    return family
