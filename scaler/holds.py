"""For how long functions have been held because their load, or a part of it, is not known."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from springtide.scaler.core.loop import Outcome
from springtide.scaler.core.vocabulary import FunctionRef, Instant, Reason

UNKNOWN: Collection[Reason] = frozenset(
    (Reason.NO_DATA, Reason.STALE_DATA, Reason.PARTIAL_DATA, Reason.SOURCE_RESTARTED)
)
"""What is known again is trusted a while later, so a source that comes and goes is one hold."""


class Holds:
    def __init__(self) -> None:
        self._since: dict[FunctionRef, Instant] = {}

    def __repr__(self) -> str:
        return f"<Holds of {len(self._since)} functions>"

    def at(self, outcomes: Iterable[Outcome], *, kept: Collection[FunctionRef]) -> dict[tuple[str, str], float]:
        """Seconds by function and reason, after a look at all but those ``kept`` as they were.

        One that grows meanwhile, by what is known, is held as before: nothing is taken away from it.
        """
        since = {ref: at for ref, at in self._since.items() if ref in kept}
        lengths_s: dict[tuple[str, str], float] = {}
        for decision in (outcome.decision for outcome in outcomes):
            ref, before = decision.ref, self._since.get(decision.ref)
            if decision.reason in UNKNOWN:
                since[ref] = decision.at if before is None else min(before, decision.at)
                lengths_s[str(ref), decision.reason.value] = decision.at - since[ref]
            elif decision.reason is Reason.LOAD_UP and before is not None:
                since[ref] = before
        self._since = since
        return lengths_s
