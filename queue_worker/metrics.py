"""What the queue worker tells Prometheus: of its jobs as they come and go, and of the broker as it is looked at."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry

from springtide.queue_worker.broker_metrics import BrokerMetrics
from springtide.queue_worker.broker_watch import QueueSeen
from springtide.scaler.core import catalogue
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire import instruments
from springtide.wire.jobs.job import JobState, Lane
from springtide.wire.jobs.ports import Lease

MAX_FUNCTIONS = 1000
"""With series of their own: each has up to thirty."""

OTHER = "_other"
"""``function_name`` of all beyond that."""

ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)
CALLBACK_OUTCOMES = {
    JobState.DONE: catalogue.TOLD,
    JobState.RETRYING: catalogue.REPEATED,
    JobState.FAILED: catalogue.GIVEN_UP,
}


class QueueMetrics:
    """Implements ``dispatch.Observer`` and ``broker_watch.Watcher``. ``exists``: whether a function may still be there.

    A function has series from its first job on, until it is removed and has no job any more.
    """

    def __init__(
        self, registry: CollectorRegistry, *, queue: str, clock: Clock, exists: Callable[[FunctionRef], bool]
    ) -> None:
        self._queue = queue
        self._clock = clock
        self._exists = exists
        self._known: set[FunctionRef] = set()
        self._running: dict[str, tuple[FunctionRef, str]] = {}
        """By the jobs' tokens; the label stays the one that a job began under."""
        self._pending = instruments.gauge(catalogue.JOBS_PENDING, registry)
        self._inflight = instruments.gauge(catalogue.JOBS_RUNNING, registry)
        self._ended = instruments.counter(catalogue.JOBS_ENDED, registry)
        self._retried = instruments.counter(catalogue.JOBS_RETRIED, registry)
        self._wait = instruments.histogram(catalogue.JOB_WAIT, registry)
        self._run = instruments.histogram(catalogue.JOB_RUN, registry)
        self._callbacks = instruments.counter(catalogue.CALLBACKS, registry)
        for outcome in CALLBACK_OUTCOMES.values():
            self._callbacks.labels(outcome)
        self._broker = BrokerMetrics(queue)
        registry.register(self._broker)

    def __repr__(self) -> str:
        return f"<QueueMetrics of {self._queue}, {len(self._known)} functions>"

    # What dispatch tells.

    def began(self, lease: Lease) -> None:
        job, function = lease.job, lease.job.lane.function
        label = self._label(function)
        self._running[job.token] = function, label
        self._inflight.labels(self._queue, label).inc()
        # One that was given up and put back was accepted days ago, perhaps.
        if lease.deliveries == 1 and not job.round:
            waited = self._clock.wall() - max(job.accepted_at, job.not_before)
            self._wait.labels(self._queue, label).observe(max(0.0, waited))  # the gateway's clock may be ahead

    def ended(self, lease: Lease, state: JobState | None, seconds: float) -> None:
        _, label = self._running.pop(lease.job.token)
        self._inflight.labels(self._queue, label).dec()
        self._run.labels(self._queue, label).observe(seconds)
        if state is JobState.RETRYING:
            self._retried.labels(self._queue, label).inc()
        elif state in ENDED:
            self._ended.labels(self._queue, label, state.value).inc()

    def saw(self, backlog: Mapping[Lane, int]) -> None:
        waiting: Counter[FunctionRef] = Counter()
        for lane, count in backlog.items():
            waiting[lane.function] += count
        busy = waiting.keys() | {function for function, _ in self._running.values()}
        for gone in [function for function in self._known - busy if not self._exists(function)]:
            self._forget(gone)
        shown = Counter({str(function): 0 for function in self._known})
        for function, count in waiting.items():
            shown[self._label(function)] += count
        for label, count in shown.items():
            self._pending.labels(self._queue, label).set(count)
        if OTHER not in shown:
            with contextlib.suppress(KeyError):
                self._pending.remove(self._queue, OTHER)

    # What callbacks tell.

    def told(self, state: JobState) -> None:
        self._callbacks.labels(CALLBACK_OUTCOMES[state]).inc()

    # What is seen of the broker.

    def broker_seen(self, seen: QueueSeen, *, reconnects: int) -> None:
        self._broker.broker_seen(seen, reconnects=reconnects)

    def broker_away(self) -> None:
        """Neither is the backlog known then."""
        self._broker.broker_away()
        self._pending.clear()

    def _label(self, function: FunctionRef) -> str:
        if function in self._known:
            return str(function)
        if len(self._known) >= MAX_FUNCTIONS:
            return OTHER
        self._known.add(function)
        label = str(function)
        for state in ENDED:  # from 0 on, so that the first one counts as an increase
            self._ended.labels(self._queue, label, state.value)
        self._retried.labels(self._queue, label)
        self._inflight.labels(self._queue, label)
        return label

    def _forget(self, function: FunctionRef) -> None:
        self._known.discard(function)
        label = str(function)
        for metric in (self._pending, self._inflight, self._retried, self._wait, self._run):
            metric.remove(self._queue, label)
        for state in ENDED:
            self._ended.remove(self._queue, label, state.value)
