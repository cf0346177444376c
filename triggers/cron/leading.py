"""Whether this copy sends ticks: one does, and each term begins with what the last leader wrote down."""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from springtide.runtime.backoff import Backoff
from springtide.runtime.errors import Conflict, SpringtideError
from springtide.runtime.outage import Outage
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.triggers.cron.kept import Kept
from springtide.triggers.cron.term import Term, TermDeps
from springtide.wire.leadership import Standby

LOAD_AGAIN = Backoff(0.2, 5.0)
PAUSE_S = 0.5
SAVE_S = 5.0

NOT_HEARD = "the provider has not told of functions yet"
UNREADABLE = "what is kept of schedules cannot be read"

log = structlog.get_logger(__name__)


class Leading:
    """``run`` for ever. ``term`` is None while another copy leads, and until what is kept has been read.

    ``problem``: why that cannot be, as far as it is known.
    """

    def __init__(self, deps: TermDeps) -> None:
        self._deps = deps
        self.term: Term | None = None
        self.problem = ""
        self._since = deps.clock.now()
        """Since when it leads, or might."""

    def __repr__(self) -> str:
        return f"<Leading {self.term!r}>"

    def paused(self, function: FunctionRef) -> bool:
        """Whether no ticks of it are sent. False where another copy leads, which knows."""
        return self.term is not None and self.term.paused(function)

    @property
    def leads(self) -> bool:
        return self._deps.leadership.hold() is not None

    @property
    def overdue_s(self) -> float:
        """How late the first tick is that is not sent. Of a leader that cannot know of its ticks, how long that has
        been so; 0 where another copy leads."""
        if self.term is not None:
            return self.term.overdue_s
        return self._deps.clock.now() - self._since if self.leads else 0.0

    async def run(self) -> None:
        leadership = self._deps.leadership
        self._since = self._deps.clock.now()
        self.problem = NOT_HEARD
        await self._deps.functions.heard.wait()
        self.problem = ""
        while True:
            known = leadership.hold()
            if known is None:
                await leadership.change(None)
                self._since = self._deps.clock.now()
                continue
            leading = asyncio.create_task(self._lead(), name="schedules")
            changed = asyncio.create_task(leadership.change(known), name="leadership")
            try:
                await asyncio.wait([leading, changed], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (leading, changed):
                    task.cancel()
                ends = await asyncio.gather(leading, changed, return_exceptions=True)
            for end in ends:
                if isinstance(end, Exception):
                    raise end
            await asyncio.sleep(PAUSE_S if leadership.hold() == known else 0)

    async def save(self) -> None:
        """Write down what was sent, as far as that is possible now."""
        if self.term is not None:
            with contextlib.suppress(SpringtideError, TimeoutError):
                async with asyncio.timeout(SAVE_S):
                    await self.term.save()

    async def _lead(self) -> None:
        """Return when another copy leads, or has written."""
        self.term = term = Term(self._deps, await self._loaded())
        self._deps.functions.listen(term.follow)
        try:
            await term.run()
        except* (Standby, Conflict) as over:
            log.info("another copy sends the ticks now", why=str(over.exceptions[0]))
        finally:
            self.term = None
            self._since = self._deps.clock.now()
            self._deps.functions.listen(lambda _: None)

    async def _loaded(self) -> Kept:
        failures, outage = 0, Outage(f"{UNREADABLE}; no tick is sent until it can")
        try:
            while True:
                try:
                    kept = await self._deps.store.load()
                except SpringtideError as error:
                    failures += 1
                    self.problem = f"{UNREADABLE}: {error}"
                    outage.failed(str(error))
                    await asyncio.sleep(LOAD_AGAIN.delay_s(failures))
                else:
                    outage.over()
                    return kept
        finally:
            self.problem = ""
