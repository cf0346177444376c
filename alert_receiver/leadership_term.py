"""The time for which this copy is the one that acts on alerts, between two changes of the leader."""

from __future__ import annotations

import math
from collections.abc import Callable

from springtide.scaler.core.ports import Clock, Leadership


class LeadershipTerm:
    """Between ``begun`` and ``over`` this copy leads; a copy on its own always does."""

    def __init__(self, leadership: Leadership, clock: Clock) -> None:
        self.leadership = leadership
        self._clock = clock
        self._alone = not leadership.role
        self._term = leadership.hold() if self._alone else None
        self._since = clock.now()

    @property
    def alone(self) -> bool:
        """There is no other copy, and never was."""
        return self._alone

    def __repr__(self) -> str:
        return f"<LeadershipTerm {'standby' if self.standby() else f'term {self._term}'}>"

    def standby(self) -> str | None:
        """Why deliveries are not for this copy; None when they are."""
        if self._term is not None and self.leadership.hold() == self._term:
            return None
        return "standby: another copy acts on alerts"

    def leading_for_s(self) -> float:
        """An alert that fires may have been told to the leader before us only, so a new leader knows less."""
        return math.inf if self._alone else self._clock.now() - self._since

    async def begun(self, *, by: Callable[[], None]) -> None:
        """Wait until this copy leads. ``by`` is what it does before it takes deliveries, as a successor only."""
        term = await self.leadership.change(None)
        if not self._alone:
            by()
        self._term, self._since = term, self._clock.now()

    async def over(self) -> None:
        """Wait until this copy does not lead any more, or leads anew."""
        await self.leadership.change(self._term)
        self._term = None
