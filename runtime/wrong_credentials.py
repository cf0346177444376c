"""What happens when somebody shows a wrong password: it is counted, told in a log that does not grow, and held back.

Only wrong answers wait. Right ones never do, whoever else is guessing: on one machine everybody has the same address.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from springtide.runtime.asgi import Scope
from springtide.runtime.counted_warning import CountedWarning

MAX_DELAY_S = 2.0
DELAY_STEP_S = 0.01
"""Each wrong password of the last minute delays the next one by so much: a slip costs nothing, a dictionary years."""

MAX_DELAYED = 100
"""Answers waiting at once; more are sent at once, so that guessing holds no more connections than these."""

FORGET_S = 60.0


class WrongCredentials:
    """Told of each request with wrong credentials; one without any is no guess, and not told of."""

    def __init__(self, count: Callable[[], None]) -> None:
        """``count`` is called once for each."""
        self._count = count
        self._recent, self._recent_at = 0.0, 0.0
        self._delayed = 0
        self._told = CountedWarning("wrong credentials")

    def __repr__(self) -> str:
        return f"<WrongCredentials {self._recent:.0f} of late, {self._delayed} waiting>"

    async def seen(self, scope: Scope) -> None:
        """Return when the answer may be sent."""
        self._count()
        now = asyncio.get_running_loop().time()
        self._recent = self._recent * math.exp((self._recent_at - now) / FORGET_S) + 1
        self._recent_at = now
        self._told.seen(client=_client(scope), path=str(scope["path"])[:200])
        if self._delayed < MAX_DELAYED:
            self._delayed += 1
            try:
                await asyncio.sleep(min(MAX_DELAY_S, DELAY_STEP_S * self._recent))
            finally:
                self._delayed -= 1


def _client(scope: Scope) -> str:
    """Whom a proxy before us, such as the gateway, speaks for; else who is connected."""
    forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    address = scope.get("client") or ("unknown",)
    return forwarded[0].decode("latin-1")[:200] if forwarded else str(address[0])
