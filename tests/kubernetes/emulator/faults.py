"""Everything that can be made to go wrong between a client and the server."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass

from tests.kubernetes.emulator.request_info import RequestInfo
from tests.kubernetes.emulator.statuses import (
    ApiError,
    conflict,
    expired,
    forbidden,
    internal,
    too_many_requests,
    unavailable,
)

_WRITES = ("create", "update", "patch", "delete")


@dataclass(slots=True)
class _Plan:
    """A fault that waits for its requests."""

    status: int
    retry_after_s: int
    verbs: Collection[str]
    resources: Collection[str]
    share: float
    left: int | None

    def hits(self, info: RequestInfo, chance: float) -> bool:
        if self.left == 0 or chance >= self.share:
            return False
        if self.verbs and info.verb not in self.verbs:
            return False
        if self.resources and info.resource not in self.resources:
            return False
        # A conflict is an answer to a write only.
        return self.status != 409 or info.verb in _WRITES


class Faults:
    def __init__(self, cut: Callable[[], int], seed: int = 1) -> None:
        self._cut = cut
        self._plans: list[_Plan] = []
        self._random = random.Random(seed)
        self.latency_s = 0.0
        self.refuse_pods = ""
        self.gone_as_http = False
        self.injected = 0
        """Requests that were answered with a fault so far."""

    def __repr__(self) -> str:
        return f"<Faults {len(self._plans)} planned, {self.injected} injected, latency {self.latency_s} s>"

    def cut_watches(self) -> int:
        """End all watch connections as a broken network does; returns how many there were."""
        return self._cut()

    def fail_next(
        self,
        count: int,
        *,
        status: int,
        verbs: Collection[str] = (),
        resources: Collection[str] = (),
        retry_after_s: int = 1,
    ) -> None:
        """The next ``count`` requests with one of these verbs and resources; empty is any."""
        self._plans.append(_Plan(status, retry_after_s, verbs, resources, 1.0, count))

    def fail_share(
        self,
        share: float,
        *,
        status: int,
        verbs: Collection[str] = (),
        resources: Collection[str] = (),
        retry_after_s: int = 1,
    ) -> None:
        """A share of the requests from 0 to 1, by a seeded dice, until ``heal``."""
        self._plans.append(_Plan(status, retry_after_s, verbs, resources, share, None))

    def heal(self) -> None:
        """No more faults of any kind."""
        self._plans.clear()
        self.latency_s = 0.0
        self.refuse_pods = ""
        self.gone_as_http = False

    def check(self, info: RequestInfo) -> None:
        """Raises ApiError when it is this request's turn."""
        if not info.is_resource:
            return
        for plan in self._plans:
            if plan.hits(info, self._random.random()):
                if plan.left is not None:
                    plan.left -= 1
                self.injected += 1
                raise _error(plan, info)


def _error(plan: _Plan, info: RequestInfo) -> ApiError:
    resource = (info.group, info.resource, info.name)
    errors: dict[int, Callable[[], ApiError]] = {
        403: lambda: forbidden(*resource, "refused by a fault of the test"),
        409: lambda: conflict(*resource),
        410: lambda: expired("The resourceVersion for the provided list is too old."),
        429: lambda: too_many_requests(plan.retry_after_s),
        500: lambda: internal("etcdserver: request timed out"),
        503: lambda: unavailable(plan.retry_after_s),
    }
    if plan.status in errors:
        return errors[plan.status]()
    return ApiError(plan.status, "", f"status {plan.status} by a fault of the test")
