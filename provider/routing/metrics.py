"""The metrics of both sides as those of one part: what has one name is one family."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector


class JoinedRegistries(Collector):
    """Asked at each scrape. The sides count different functions, so no two samples have the same labels."""

    def __init__(self, *sides: CollectorRegistry) -> None:
        self._sides = sides

    def collect(self) -> Iterable[Metric]:
        families: dict[str, Metric] = {}
        for side in self._sides:
            for family in side.collect():
                if family.name in families:
                    families[family.name].samples.extend(family.samples)
                else:
                    families[family.name] = family
        return families.values()
