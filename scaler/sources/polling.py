"""Asking somebody again and again while anybody wants to know: one question at a time, each within a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from springtide.runtime.errors import SpringtideError, Unsupported
from springtide.scaler.core.vocabulary import Instant, NoData, Unmeasured
from springtide.scaler.sources import readings


class Polling:
    """``ask`` is given the instant of the question and keeps what it hears; ``look`` has it asked when it is due."""

    def __init__(
        self, ask: Callable[[Instant], Awaitable[None]], *, who: str, interval_s: float, deadline_s: float
    ) -> None:
        """``who`` is asked, in the sentence about one that does not answer."""
        self._ask, self._who = ask, who
        self.interval_s, self._deadline_s = interval_s, deadline_s
        self._asking: asyncio.Task[None] | None = None
        self._asked_at: Instant | None = None
        self.missing = NoData("it has not been measured yet")
        """Why what is not known is not."""

    def __repr__(self) -> str:
        return f"<Polling of {self._who} each {self.interval_s:g} s>"

    async def aclose(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    def look(self, now: Instant) -> None:
        """Returns at once."""
        if self._due(now):
            self._asked_at = now
            self._asking = asyncio.create_task(self._asked(now), name=f"asking {self._who}")

    def too_old(self, what: str, limit_s: float) -> NoData:
        """Why something that was known is not any more."""
        why = f"{what} more than {limit_s:g} s ago; {self.missing.why}"[: readings.MAX_REASON_CHARS]
        return type(self.missing)(why)

    def _due(self, now: Instant) -> bool:
        if self._asking is not None and not self._asking.done():
            return False
        # A clock that was set back must not silence us until it is where it was.
        return self._asked_at is None or not 0 <= now - self._asked_at < self.interval_s

    async def _asked(self, now: Instant) -> None:
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._ask(now)
        except Unsupported as error:
            self.missing = Unmeasured(str(error)[: readings.MAX_REASON_CHARS])
        except SpringtideError as error:
            self.missing = NoData(str(error)[: readings.MAX_REASON_CHARS])
        except TimeoutError:
            self.missing = NoData(f"{self._who} did not tell within {self._deadline_s:g} s")
        else:
            self.missing = NoData(f"{self._who}'s answer does not name it")
