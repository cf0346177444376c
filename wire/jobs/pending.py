"""How many asynchronous calls each function has, and when those that were put off are due, as gateways tell: for who
scales by them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from springtide.runtime.basic_auth import Credentials
from springtide.scaler.core.delayed_calls import DelayedCalls
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.first_gateway import FirstGateway

PATH = "/system/queues"
DELAYED_PATH = "/system/queues/delayed"

DEADLINE_S = 2.0
"""Of one gateway; the next one is asked then."""


class PendingJobs:
    """Every gateway knows all queues: the first that answers is believed."""

    def __init__(self, urls: Sequence[str], credentials: Credentials | None, *, deadline_s: float = DEADLINE_S) -> None:
        """``urls`` are those of the gateways' public ports, such as ``http://gateway:8080``."""
        self._gateways = FirstGateway(urls, credentials, deadline_s=deadline_s, what="queues")

    def __repr__(self) -> str:
        return f"<PendingJobs by {self._gateways!r}>"

    async def aclose(self) -> None:
        await self._gateways.aclose()

    async def pending(self) -> Mapping[FunctionRef, int]:
        """Jobs that wait, run or are to be tried again, of each function that has any, over all queues.

        Raises Unsupported where the gateways have no queues, and Unavailable.
        """
        return await self._gateways.get(PATH, pending_by_function)

    async def delayed(self) -> DelayedCalls:
        """When jobs that were put off are due, over all queues. Raises as ``pending`` does."""
        return await self._gateways.get(DELAYED_PATH, delayed_calls)


def pending_by_function(answer: Any) -> dict[FunctionRef, int]:
    """What ``PATH`` answers, added up over the queues. Raises what ``NONSENSE`` has for another shape."""
    found: dict[FunctionRef, int] = {}
    for queue in answer["queues"]:
        for function in queue["functions"]:
            ref, count = FunctionRef(str(function["namespace"]), str(function["function"])), function["pending"]
            if isinstance(count, bool) or not isinstance(count, int) or count < 0:
                raise ValueError(f"{ref} has {str(count)[:40]} jobs pending")
            found[ref] = found.get(ref, 0) + count
    return found


def delayed_calls(answer: Any) -> DelayedCalls:
    """What ``DELAYED_PATH`` answers. Raises as ``pending_by_function`` does."""
    due = {
        FunctionRef(str(one["namespace"]), str(one["function"])): tuple(sorted(map(_instant, one["due"])))
        for one in answer["functions"]
    }
    return DelayedCalls(due, _instant(answer["until"]) if answer["until"] is not None else math.inf)


def _instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
