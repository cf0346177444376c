"""One function as the data plane knows it: its replicas, its scale, its counters."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from random import random

from springtide.gateway.backend_replica import BackendReplica
from springtide.gateway.call_metrics import CallMetrics
from springtide.gateway.timeouts import CallLimit
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import FunctionEndpoints


class Route:
    """Where calls of one function go. ``ready`` lists the replicas that may be given new calls."""

    __slots__ = (
        "accepted_at",
        "annotations",
        "decided_at",
        "delay",
        "desired",
        "environment_s",
        "is_system",
        "label",
        "labels",
        "lasting",
        "learned_wake",
        "limit",
        "metrics",
        "next_start",
        "policy",
        "problem",
        "problem_since",
        "ready",
        "ref",
        "removed",
        "version",
        "wake_obstacle",
    )

    def __init__(self, ref: FunctionRef, metrics: CallMetrics, *, is_system: bool = False) -> None:
        """``is_system``: the gateway's own API, whose calls have deadlines of their own and are not observed."""
        self.is_system = is_system
        self.ref = ref
        self.label = str(ref)
        self.metrics = metrics
        self.ready: list[BackendReplica] = []
        self.desired = 0
        self.version = ""
        self.labels: Mapping[str, str] = {}
        self.annotations: Mapping[str, str] = {}
        self.policy = ScalePolicy()
        self.learned_wake: int | None = None
        """How many replicas its last wakes needed, where that counts."""
        self.problem: str | None = None
        self.problem_since: float | None = None
        """On the monotonic clock; one problem after the other counts as one."""
        self.next_start: float | None = None
        """When a replica is tried to be started again, in seconds of the epoch; None: not known."""
        self.delay: str | None = None
        """Why no replica comes, where waiting is of no use, and where it may be."""
        self.lasting = False
        """The problem ends only when somebody changes something: waiting for a moment is of no use either."""
        self.environment_s = 0.0
        """What the start of a replica that is there had to wait for the interpreter of its environment."""
        self.limit: CallLimit | None = None
        """How long its calls may take; None: they have no limit here."""
        self.wake_obstacle: str | None = None
        """Why a wake under way has not come through yet."""
        self.removed = False
        self.decided_at = 0.0
        self.accepted_at = 0.0
        """When the last wake was decided and when the provider accepted it, on the monotonic clock."""

    def __repr__(self) -> str:
        return f"<Route {self.label} wants {self.desired}, {self.ready}, {self.metrics}>"

    def describe(self, function: FunctionEndpoints, now: float) -> None:
        """Take over everything about the function but its replicas."""
        self.desired = function.replicas
        self.version = function.version
        self.annotations = function.annotations
        self.learned_wake = function.learned_wake
        if not function.problem:
            self.problem_since = None
        elif not self.problem:
            self.problem_since = now
        self.problem = function.problem
        self.lasting = function.lasting
        self.next_start = function.next_start
        self.delay = function.delay
        self.environment_s = max((endpoint.environment_s for endpoint in function.endpoints), default=0.0)
        if function.labels != self.labels:
            self.labels = function.labels
            self.policy = ScalePolicy.from_labels(function.labels)[0]

    def pick(self, now: float, avoid: Collection[BackendReplica] = ()) -> BackendReplica | None:
        """A replica with room: the less busy of two chosen at random. None when no replica has room."""
        ready = self.ready
        count = len(ready)
        if count == 1:
            replica = ready[0]
            return replica if replica not in avoid and replica.has_room(now) else None
        if not count:
            return None
        first = int(random() * count)
        second = int(random() * (count - 1))
        a, b = ready[first], ready[second if second < first else second + 1]
        better = a if a.in_flight <= b.in_flight else b
        if better not in avoid and better.has_room(now):
            return better
        # Two choices were not enough: most replicas are full, ill or were tried already.
        free = [replica for replica in ready if replica not in avoid and replica.has_room(now)]
        return min(free, key=_in_flight, default=None)

    @property
    def at_capacity(self) -> bool:
        """Whether calls are held because a replica that is ready has all it may be given."""
        return any(replica.full for replica in self.ready)

    @property
    def hopeless(self) -> bool:
        """Whether it is awake, nothing answers, and nothing will until somebody changes something."""
        return self.lasting and bool(self.problem) and self.desired > 0 and not self.ready

    def waited_for(self) -> bool:
        """Whether callers are held."""
        return self.metrics.held > 0

    @property
    def shared(self) -> bool:
        """Whether room may come at a replica without a call of ours having ended there."""
        return any(replica.shared for replica in self.ready)

    def want(self, *, on: bool) -> None:
        """Calls wait for room, or none do any more."""
        for replica in self.ready:
            replica.want(on=on)

    def next_retry(self) -> float | None:
        """When the first replica that could not be reached may be tried again; None when none is paused.

        A full one does not count: its next chance is the end of a call there, not an instant.
        """
        paused = (replica.paused_until for replica in self.ready if replica.failures and not replica.full)
        return min(paused, default=None)


def _in_flight(replica: BackendReplica) -> int:
    return replica.in_flight
