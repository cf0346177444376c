"""What is counted of each function's replicas."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from springtide.scaler.core import catalogue
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire import instruments


class ReplicaMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.starts = instruments.histogram(catalogue.REPLICA_START, registry)
        self.restarts = instruments.counter(catalogue.REPLICA_RESTARTS, registry)
        self.out_of_memory = instruments.counter(catalogue.REPLICA_OUT_OF_MEMORY, registry)

    def add(self, ref: FunctionRef) -> None:
        """Counts are at 0 from the start: the first one is to show as an increase."""
        self.restarts.labels(str(ref))
        self.out_of_memory.labels(str(ref))

    def remove(self, ref: FunctionRef) -> None:
        for metric in (self.starts, self.restarts, self.out_of_memory):
            # Removing what was never counted is an error of the library's; labelling first makes it be there.
            metric.labels(str(ref))
            metric.remove(str(ref))
